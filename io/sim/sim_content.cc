#include "io/sim/sim_content.h"

#include <algorithm>

namespace kv::io {

SimContent& SimContent::operator=(const SimContent& other) {
    if (this == &other) return *this;
    chunks_.resize(other.chunks_.size());
    for (std::size_t i = 0; i < chunks_.size(); ++i) {
        if (other.chunks_[i] == nullptr) {
            chunks_[i].reset();
        } else if (chunks_[i] != nullptr) {
            *chunks_[i] = *other.chunks_[i];
        } else {
            chunks_[i] = std::make_unique<Chunk>(*other.chunks_[i]);
        }
    }
    size_ = other.size_;
    return *this;
}

void SimContent::resize(std::uint64_t bytes) {
    chunks_.resize(static_cast<std::size_t>((bytes + chunk_bytes - 1) / chunk_bytes));
    const auto tail = static_cast<std::size_t>(bytes % chunk_bytes);
    if (bytes < size_ && tail != 0 && chunks_.back() != nullptr) {
        std::fill(chunks_.back()->begin() + static_cast<std::ptrdiff_t>(tail),
                  chunks_.back()->end(), std::byte{0});
    }
    size_ = bytes;
}

void SimContent::write(std::uint64_t offset, Bytes from) {
    if (offset + from.size() > size_) resize(offset + from.size());
    while (!from.empty()) {
        const auto start = static_cast<std::size_t>(offset % chunk_bytes);
        const std::size_t bytes = std::min(from.size(), chunk_bytes - start);
        auto& chunk = chunks_[static_cast<std::size_t>(offset / chunk_bytes)];
        if (chunk == nullptr) chunk = std::make_unique<Chunk>();
        std::memcpy(chunk->data() + start, from.data(), bytes);
        offset += bytes;
        from = from.subspan(bytes);
    }
}

std::size_t SimContent::read(std::uint64_t offset, MutableBytes to) const noexcept {
    if (offset >= size_) return 0;
    const auto total = static_cast<std::size_t>(std::min<std::uint64_t>(to.size(), size_ - offset));
    std::size_t done = 0;
    while (done < total) {
        const auto start = static_cast<std::size_t>((offset + done) % chunk_bytes);
        const std::size_t bytes = std::min(total - done, chunk_bytes - start);
        const auto& chunk = chunks_[static_cast<std::size_t>((offset + done) / chunk_bytes)];
        if (chunk == nullptr) {
            std::memset(to.data() + done, 0, bytes);
        } else {
            std::memcpy(to.data() + done, chunk->data() + start, bytes);
        }
        done += bytes;
    }
    return total;
}

std::string SimContent::text() const {
    std::string text(static_cast<std::size_t>(size_), '\0');
    static_cast<void>(read(0, {reinterpret_cast<std::byte*>(text.data()), text.size()}));
    return text;
}

}  // namespace kv::io
