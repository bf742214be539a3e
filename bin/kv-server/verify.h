#pragma once

/// kv-server --verify: checks a data directory, and prints what it finds.

#include <string>

namespace kv {

/// The exit code of the process.
int run_verify(const std::string& path);

}  // namespace kv
