#pragma once

/// The bytes of a simulated file: chunks that exist only where something was written, so that
/// reserving a megabyte costs nothing and copying a file costs what is in it.

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "proto/base/bytes.h"

namespace kv::io {

class SimContent {
public:
    SimContent() = default;
    SimContent(const SimContent& other) { *this = other; }
    SimContent& operator=(const SimContent& other);

    std::uint64_t size() const noexcept { return size_; }
    /// Growing adds zeros; shrinking forgets the tail.
    void resize(std::uint64_t bytes);
    /// Grows the content as needed.
    void write(std::uint64_t offset, Bytes from);
    /// Returns the bytes read: fewer than `to` has at the end.
    std::size_t read(std::uint64_t offset, MutableBytes to) const noexcept;
    std::string text() const;

private:
    static constexpr std::size_t chunk_bytes = 4096;
    using Chunk = std::array<std::byte, chunk_bytes>;
    std::vector<std::unique_ptr<Chunk>> chunks_;  ///< null: zeros
    std::uint64_t size_ = 0;
};

}  // namespace kv::io
