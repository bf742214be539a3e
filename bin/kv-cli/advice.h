#pragma once

/// What a person can do about an error: one sentence for standard error, below the error itself.

#include <string>

#include "bin/client/client.h"

namespace kv::cli {

/// About a reply; empty when the reply says it all.
std::string advice(const client::Reply& reply, client::Mode mode);

/// About a call that had no reply; `unanswered` requests had been sent.
std::string advice(const Error& error, client::Mode mode, std::size_t unanswered);

}  // namespace kv::cli
