#include "proto/slot.h"

#include <array>
#include <cstring>

namespace kv {

namespace {

/// tables[k][b]: the CRC of byte b followed by k zero bytes. Four bytes a step instead of one.
constexpr auto make_tables() {
    std::array<std::array<std::uint16_t, 256>, 4> tables{};
    for (unsigned byte = 0; byte < 256; ++byte) {
        auto crc = static_cast<std::uint16_t>(byte << 8);
        for (int bit = 0; bit < 8; ++bit) {
            crc = static_cast<std::uint16_t>((crc & 0x8000) != 0 ? (crc << 1) ^ 0x1021 : crc << 1);
        }
        tables[0][byte] = crc;
    }
    for (std::size_t k = 1; k < tables.size(); ++k) {
        for (std::size_t byte = 0; byte < 256; ++byte) {
            const std::uint16_t crc = tables[k - 1][byte];
            tables[k][byte] = static_cast<std::uint16_t>((crc << 8) ^ tables[0][crc >> 8]);
        }
    }
    return tables;
}
constexpr auto tables = make_tables();

}  // namespace

std::uint16_t crc16(std::string_view bytes) noexcept {
    const auto* at = reinterpret_cast<const std::uint8_t*>(bytes.data());
    std::size_t left = bytes.size();
    unsigned crc = 0;
    for (; left >= 4; left -= 4, at += 4) {
        crc =
            static_cast<unsigned>(tables[3][(crc >> 8) ^ at[0]] ^ tables[2][(crc & 0xff) ^ at[1]] ^
                                  tables[1][at[2]] ^ tables[0][at[3]]);
    }
    for (; left > 0; --left, ++at) {
        crc = ((crc << 8) & 0xffff) ^ tables[0][((crc >> 8) ^ *at) & 0xff];
    }
    return static_cast<std::uint16_t>(crc);
}

SlotId slot_of(std::string_view key) noexcept {
    const auto* open = static_cast<const char*>(std::memchr(key.data(), '{', key.size()));
    if (open != nullptr) {
        const std::string_view behind = key.substr(static_cast<std::size_t>(open - key.data()) + 1);
        const std::size_t close = behind.find('}');
        if (close != behind.npos && close != 0) key = behind.substr(0, close);
    }
    return SlotId(static_cast<std::uint16_t>(crc16(key) % slot_count));
}

}  // namespace kv
