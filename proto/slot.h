#pragma once

/// Hash slots, as Redis Cluster defines them: CRC16-XMODEM of the key modulo 16384; of a key with a
/// hash tag, only the tag counts: what lies between the first '{' and the first '}' behind it,
/// unless that is empty. slot_of("foo") is 12182.

#include <cstdint>
#include <string_view>

#include "proto/base/ids.h"

namespace kv {

/// CRC-16/XMODEM: polynomial 0x1021, initial value 0. crc16("123456789") is 0x31c3.
std::uint16_t crc16(std::string_view bytes) noexcept;

SlotId slot_of(std::string_view key) noexcept;

}  // namespace kv
