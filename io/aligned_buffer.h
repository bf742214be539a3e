#pragma once

/// Memory for direct input and output: aligned to blocks; grows, never shrinks. Content is kept
/// when it grows.

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <new>

#include "io/op.h"
#include "proto/base/bytes.h"
#include "proto/base/units.h"

namespace kv::io {

class AlignedBuffer {
public:
    AlignedBuffer() noexcept = default;
    explicit AlignedBuffer(std::size_t bytes) { reserve(bytes, 0); }
    /// Makes room for `bytes`, keeping the first `kept` of what there is.
    void reserve(std::size_t bytes, std::size_t kept) {
        if (bytes <= capacity_) return;
        const std::size_t capacity = round_up(std::max(bytes, capacity_ * 2), block_bytes);
        std::unique_ptr<std::byte, Free> memory(
            static_cast<std::byte*>(::operator new(capacity, std::align_val_t{block_bytes})));
        kept = std::min(kept, capacity_);
        if (kept != 0) std::memcpy(memory.get(), memory_.get(), kept);
        memory_ = std::move(memory);
        capacity_ = capacity;
    }
    std::size_t capacity() const noexcept { return capacity_; }
    std::byte* data() noexcept { return memory_.get(); }
    MutableBytes first(std::size_t bytes) noexcept { return {data(), bytes}; }

private:
    struct Free {
        void operator()(std::byte* memory) const noexcept {
            ::operator delete(memory, std::align_val_t{block_bytes});
        }
    };
    std::unique_ptr<std::byte, Free> memory_;
    std::size_t capacity_ = 0;
};

}  // namespace kv::io
