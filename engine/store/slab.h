#pragma once

/// Slab: the memory of a core's stores. Blocks come in classes close to their size and carry no
/// header: who releases a block says how large it is.
///
///     chunk   2 MiB, aligned to 2 MiB, straight from the kernel. Its first bytes hold the
///             bookkeeping of its 32 pages, so that a block's page is found from its address.
///     page    64 KiB of blocks of one class: a free list threaded through the released blocks, and
///             a mark behind which no block was ever handed out (so fresh memory is not touched).
///     block   of a class: 8, 16 ... 2048, then 2176, 2304 ... 4096 bytes.
///
/// A page whose last block is released serves any class again; a chunk whose last page is free goes
/// back to the kernel, except for one kept against thrashing. Larger blocks are operator new's.
///
/// mimalloc 2.0.9 would round the 131 bytes of a usual block up to 160. The cost of exact classes
/// is one partly filled page per class in use: at most 272 x 64 KiB = 17 MiB on a core.
///
/// Owner core only. No memory at all ends the process: nothing useful could be done without.

#include <array>
#include <cstddef>
#include <cstdint>

namespace kv {

class Slab {
public:
    static constexpr std::size_t chunk_bytes = std::size_t{2} << 20;
    static constexpr std::size_t page_bytes = std::size_t{64} << 10;
    static constexpr std::size_t class_bytes_max = 4096;

    /// What the kernel backs the chunks with. `huge` asks for transparent huge pages: fewer TLB
    /// misses on random reads, but the first touch of a chunk zeroes 2 MiB at once. Measured in a
    /// virtual machine whose host backs memory lazily (10 us per 4 KiB): 5 ms at once, for 9 % more
    /// reads per second from 10 million keys. So `small` is the default.
    enum class Backing : std::uint8_t { small, huge };

    explicit Slab(Backing backing = Backing::small) noexcept : backing_(backing) {}
    Slab(const Slab&) = delete;
    Slab& operator=(const Slab&) = delete;
    /// Every block has been released: stores go before their slab.
    ~Slab();

    /// An uninitialised block of at least `bytes` > 0. Up to class_bytes_max it is aligned to the
    /// largest power of two that divides rounded(bytes), so to 8 at least, and 4096 to 4096; larger
    /// blocks are aligned to 16. Its address fits 48 bits.
    [[nodiscard]] void* allocate(std::size_t bytes) noexcept;

    /// Gives back a block of allocate(bytes), with the same `bytes`. Under AddressSanitizer any
    /// later use of it is reported, until it is handed out again.
    void release(void* block, std::size_t bytes) noexcept;

    /// Whether the block could keep its place at its new size, and from now on has `bytes_new`.
    /// On false nothing changed.
    [[nodiscard]] bool resize(void* block, std::size_t bytes_old, std::size_t bytes_new) noexcept;

    /// For idle moments: has an empty chunk ready, and its memory backed by the kernel in steps of
    /// 64 KiB (2 MiB with huge pages), so that allocate() seldom waits for the kernel. One step per
    /// call; true if there was something to do. Never needed.
    bool prepare() noexcept;

    /// What a block of `bytes` really occupies (for large ones, without the allocator's own part).
    static constexpr std::size_t rounded(std::size_t bytes) noexcept {
        if (bytes > class_bytes_max) return bytes;
        return class_bytes(class_of(bytes));
    }

    /// Sum of the `bytes` of all blocks handed out and not released. Exact.
    std::size_t bytes_live() const noexcept { return bytes_live_; }
    /// Chunks and large blocks held, used or not: what the kernel sees of it, at most. Exact.
    std::size_t bytes_reserved() const noexcept { return bytes_reserved_; }

private:
    struct Page;
    struct Chunk;

    static constexpr std::size_t fine_bytes_max = 2048;
    static constexpr std::size_t fine_step_bytes = 8;
    static constexpr std::size_t coarse_step_bytes = 128;
    static constexpr std::size_t fine_classes = fine_bytes_max / fine_step_bytes;
    static constexpr std::size_t class_count =
        fine_classes + (class_bytes_max - fine_bytes_max) / coarse_step_bytes;
    static constexpr std::size_t pages_per_chunk = chunk_bytes / page_bytes;

    static constexpr std::size_t class_of(std::size_t bytes) noexcept {
        if (bytes <= fine_bytes_max) return (bytes - 1) / fine_step_bytes;
        return fine_classes + (bytes - fine_bytes_max - 1) / coarse_step_bytes;
    }
    static constexpr std::size_t class_bytes(std::size_t index) noexcept {
        if (index < fine_classes) return (index + 1) * fine_step_bytes;
        return fine_bytes_max + (index - fine_classes + 1) * coarse_step_bytes;
    }

    void* allocate_large(std::size_t bytes) noexcept;
    void release_large(void* block, std::size_t bytes) noexcept;
    Page* add_page(std::size_t class_index) noexcept;
    void remove_page(Page* page, Chunk* chunk) noexcept;
    Chunk* add_chunk() noexcept;
    void remove_chunk(Chunk* chunk) noexcept;
    void link(Page* page) noexcept;
    void unlink(Page* page) noexcept;
    void link(Chunk* chunk) noexcept;
    void unlink(Chunk* chunk) noexcept;

    Backing backing_;
    std::size_t bytes_live_ = 0;
    std::size_t bytes_reserved_ = 0;
    std::size_t chunks_empty_ = 0;                ///< chunks without a page in use; at most 1
    std::array<Page*, class_count> with_room_{};  ///< pages of the class that are not full
    Chunk* with_pages_ = nullptr;                 ///< chunks that have a free page
    Chunk* prepared_ = nullptr;                   ///< the chunk that prepare() works on
    std::size_t prepared_bytes_ = 0;              ///< of it, backed by the kernel
};

}  // namespace kv
