#pragma once

/// Reads of one key: what to answer, from what was found. No look-up happens here, so that it can
/// be made on the core that owns the key. Pure.

#include <array>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "engine/store/store.h"
#include "proto/command.h"
#include "proto/reply.h"

namespace kv {

/// Whether `request` needs its first argument looked up and nothing else: CommandClass::key_read,
/// and EXISTS and TOUCH of one key.
bool is_key_read(const Request& request) noexcept;

/// Whether the answer depends on the value, not only on whether there is one.
bool needs_value(Verb verb) noexcept;

void answer_key_read(const Request& request, const std::optional<Store::Found>& found,
                     ReplyWriter& reply);

/// Most arguments that such an answer depends on.
inline constexpr std::size_t key_read_args_max = 3;

/// Keeps in `out` what the answer depends on, while the request waits.
void keep_key_read(const Request& request, std::string& out);
/// The arguments again, the key first; they view `kept`.
std::span<const std::string_view> restore_key_read(
    Verb verb, std::string_view kept, std::array<std::string_view, key_read_args_max>& args);

}  // namespace kv
