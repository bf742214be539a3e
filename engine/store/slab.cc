#include "engine/store/slab.h"

#include <sys/mman.h>

#include <bit>
#include <new>

#include "engine/store/poison.h"
#include "proto/base/assert.h"
#include "proto/base/units.h"

namespace kv {

/// Bookkeeping of one page. In the list of its class exactly while it has room.
struct Slab::Page {
    std::byte* free = nullptr;  ///< released blocks; each holds the address of the next
    Page* previous = nullptr;
    Page* next = nullptr;
    std::uint32_t fresh = 0;  ///< offset in the chunk of the first block never handed out
    std::uint16_t live = 0;   ///< blocks handed out
    std::uint16_t class_index = 0;
};

/// The front of a chunk. In the list of chunks exactly while it has a free page.
struct Slab::Chunk {
    std::array<Page, pages_per_chunk> pages;
    Chunk* previous = nullptr;
    Chunk* next = nullptr;
    std::uint32_t free_pages = ~std::uint32_t{0};  ///< bit i: page i belongs to no class

    static Chunk* of(void* inside) noexcept {
        return reinterpret_cast<Chunk*>(reinterpret_cast<std::uintptr_t>(inside) &
                                        ~(std::uintptr_t{chunk_bytes} - 1));
    }
    std::byte* base() noexcept { return reinterpret_cast<std::byte*>(this); }
    std::size_t number(const Page* page) const noexcept {
        return static_cast<std::size_t>(page - pages.data());
    }
};

namespace {

constexpr bool fits_48_bits(const void* pointer) {
    return (reinterpret_cast<std::uintptr_t>(pointer) >> 48) == 0;
}

}  // namespace

Slab::~Slab() {
    KV_ASSERT(bytes_live_ == 0, "{} bytes were never released", bytes_live_);
    while (with_pages_ != nullptr) remove_chunk(with_pages_);  // no page in use: all are listed
    KV_ASSERT(bytes_reserved_ == 0, "{} bytes are still reserved", bytes_reserved_);
}

void* Slab::allocate(std::size_t bytes) noexcept {
    KV_ASSERT(bytes > 0);
    bytes_live_ += bytes;
    if (bytes > class_bytes_max) return allocate_large(bytes);
    const std::size_t index = class_of(bytes);
    Page* page = with_room_[index];
    if (page == nullptr) page = add_page(index);
    Chunk* chunk = Chunk::of(page);
    const std::size_t step = class_bytes(index);
    std::byte* block = page->free;
    if (block != nullptr) {
        unpoison(block, sizeof page->free);
        page->free = *reinterpret_cast<std::byte**>(block);
        poison(block, sizeof page->free);
    } else {
        block = chunk->base() + page->fresh;
        page->fresh += static_cast<std::uint32_t>(step);
    }
    ++page->live;
    const std::size_t page_end = (chunk->number(page) + 1) * page_bytes;
    if (page->free == nullptr && page->fresh + step > page_end) unlink(page);
    unpoison(block, bytes);
    return block;
}

void Slab::release(void* block, std::size_t bytes) noexcept {
    KV_ASSERT(bytes > 0 && bytes <= bytes_live_);
    bytes_live_ -= bytes;
    if (bytes > class_bytes_max) return release_large(block, bytes);
    Chunk* chunk = Chunk::of(block);
    std::byte* at = static_cast<std::byte*>(block);
    Page* page = &chunk->pages[static_cast<std::size_t>(at - chunk->base()) / page_bytes];
    const std::size_t step = class_bytes(page->class_index);
    KV_ASSERT(page->class_index == class_of(bytes) && page->live > 0, "{} bytes of class {}", bytes,
              step);
    const std::size_t page_end = (chunk->number(page) + 1) * page_bytes;
    const bool was_full = page->free == nullptr && page->fresh + step > page_end;
    KV_ASSERT(!is_poisoned(at), "a block is released twice");
    unpoison(at, sizeof page->free);
    *reinterpret_cast<std::byte**>(at) = page->free;
    page->free = at;
    poison(at, step);
    --page->live;
    if (was_full) link(page);
    if (page->live == 0) remove_page(page, chunk);
}

bool Slab::resize(void* block, std::size_t bytes_old, std::size_t bytes_new) noexcept {
    if (rounded(bytes_old) != rounded(bytes_new)) return false;
    bytes_live_ = bytes_live_ - bytes_old + bytes_new;
    if (bytes_new <= class_bytes_max) {
        poison(block, rounded(bytes_new));
        unpoison(block, bytes_new);
    }
    return true;
}

bool Slab::prepare() noexcept {
    if (chunks_empty_ == 0) {
        Chunk* used_first = with_pages_;  // a chunk in use is filled before the empty one
        prepared_ = add_chunk();
        prepared_bytes_ = 0;
        if (used_first != nullptr) {
            unlink(used_first);
            link(used_first);
        }
        return true;
    }
    if (prepared_ == nullptr || prepared_bytes_ == chunk_bytes) return false;
    // Changes no byte, so blocks may already be in use there. A kernel before 5.14 refuses: then
    // the first touch does it.
    std::byte* from = prepared_->base() + prepared_bytes_;
    const std::size_t step = backing_ == Backing::huge ? chunk_bytes : page_bytes;
    prepared_bytes_ += step;
#ifdef MADV_POPULATE_WRITE
    return ::madvise(from, step, MADV_POPULATE_WRITE) == 0;
#else
    static_cast<void>(from);
    return false;
#endif
}

void* Slab::allocate_large(std::size_t bytes) noexcept {
    void* block = ::operator new(bytes, std::nothrow);
    KV_ASSERT(block != nullptr, "out of memory: {} bytes", bytes);
    KV_ASSERT(fits_48_bits(block));
    bytes_reserved_ += bytes;
    return block;
}

void Slab::release_large(void* block, std::size_t bytes) noexcept {
    bytes_reserved_ -= bytes;
    ::operator delete(block);
}

Slab::Page* Slab::add_page(std::size_t class_index) noexcept {
    Chunk* chunk = with_pages_ != nullptr ? with_pages_ : add_chunk();
    if (chunk->free_pages == ~std::uint32_t{0}) --chunks_empty_;
    const auto number = static_cast<std::size_t>(std::countr_zero(chunk->free_pages));
    chunk->free_pages &= ~(std::uint32_t{1} << number);
    if (chunk->free_pages == 0) unlink(chunk);

    // The first page begins behind the bookkeeping, and as aligned as the others are.
    const std::size_t step = class_bytes(class_index);
    const std::size_t alignment = std::size_t{1} << std::countr_zero(step);
    const std::size_t start = number == 0 ? round_up(sizeof(Chunk), alignment) : 0;
    Page* page = &chunk->pages[number];
    *page = Page{};
    page->fresh = static_cast<std::uint32_t>(number * page_bytes + start);
    page->class_index = static_cast<std::uint16_t>(class_index);
    poison(chunk->base() + page->fresh, page_bytes - start);
    link(page);
    return page;
}

void Slab::remove_page(Page* page, Chunk* chunk) noexcept {
    unlink(page);
    if (chunk->free_pages == 0) link(chunk);
    chunk->free_pages |= std::uint32_t{1} << chunk->number(page);
    if (chunk->free_pages != ~std::uint32_t{0}) return;
    if (++chunks_empty_ > 1) remove_chunk(chunk);
}

Slab::Chunk* Slab::add_chunk() noexcept {
    // The kernel aligns to 4 KiB only: map twice as much and cut off what sticks out.
    constexpr std::size_t mapped_bytes = 2 * chunk_bytes;
    void* mapped = ::mmap(nullptr, mapped_bytes, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    KV_ASSERT(mapped != MAP_FAILED, "out of memory: {} bytes are reserved", bytes_reserved_);
    auto* from = static_cast<std::byte*>(mapped);
    auto* base = reinterpret_cast<std::byte*>(
        round_up(reinterpret_cast<std::uintptr_t>(mapped), chunk_bytes));
    if (base != from) ::munmap(from, static_cast<std::size_t>(base - from));
    std::byte* end = base + chunk_bytes;
    if (end != from + mapped_bytes)
        ::munmap(end, static_cast<std::size_t>(from + mapped_bytes - end));
    KV_ASSERT(fits_48_bits(end));
    // Only advice: a kernel without huge pages refuses it, and all works as well.
    if (backing_ == Backing::huge) ::madvise(base, chunk_bytes, MADV_HUGEPAGE);
    bytes_reserved_ += chunk_bytes;
    ++chunks_empty_;
    auto* chunk = new (base) Chunk;
    link(chunk);
    return chunk;
}

void Slab::remove_chunk(Chunk* chunk) noexcept {
    KV_ASSERT(chunk->free_pages == ~std::uint32_t{0});
    unlink(chunk);
    if (chunk == prepared_) prepared_ = nullptr;
    --chunks_empty_;
    bytes_reserved_ -= chunk_bytes;
    unpoison(chunk, chunk_bytes);  // the address may be mapped again by somebody else
    ::munmap(chunk, chunk_bytes);
}

void Slab::link(Page* page) noexcept {
    Page*& head = with_room_[page->class_index];
    page->previous = nullptr;
    page->next = head;
    if (head != nullptr) head->previous = page;
    head = page;
}

void Slab::unlink(Page* page) noexcept {
    (page->previous != nullptr ? page->previous->next : with_room_[page->class_index]) = page->next;
    if (page->next != nullptr) page->next->previous = page->previous;
}

void Slab::link(Chunk* chunk) noexcept {
    chunk->previous = nullptr;
    chunk->next = with_pages_;
    if (with_pages_ != nullptr) with_pages_->previous = chunk;
    with_pages_ = chunk;
}

void Slab::unlink(Chunk* chunk) noexcept {
    (chunk->previous != nullptr ? chunk->previous->next : with_pages_) = chunk->next;
    if (chunk->next != nullptr) chunk->next->previous = chunk->previous;
}

}  // namespace kv
