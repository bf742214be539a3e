#pragma once

/// The client's side of the codecs: what decoding a reply from the front of a stream can say.

#include <cstddef>
#include <cstdint>

namespace kv {

enum class DecodeStatus : std::uint8_t {
    reply,      ///< `consumed` bytes are one reply
    need_more,  ///< nothing consumed; not before `needed` bytes are there can it be complete
    malformed,  ///< this is not the protocol; close the connection
};

struct DecodeResult {
    DecodeStatus status;
    std::size_t consumed = 0;
    std::size_t needed = 0;
};

/// The longest reply a client accepts unless it says otherwise. KEYS is what comes near it.
inline constexpr std::size_t reply_bytes_max_default = std::size_t{1} << 30;

}  // namespace kv
