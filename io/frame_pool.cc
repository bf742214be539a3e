#include "io/frame_pool.h"

#include <array>
#include <new>

#if defined(__SANITIZE_ADDRESS__)
#define KV_POOL_BYPASSED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define KV_POOL_BYPASSED 1
#endif
#endif
#ifndef KV_POOL_BYPASSED
#define KV_POOL_BYPASSED 0
#endif

namespace kv::io {

namespace {

constexpr std::size_t class_bytes = 64;
constexpr std::size_t classes = 32;

struct Free {
    Free* next;
};

struct Lists {
    std::array<Free*, classes> heads{};
    std::int64_t live = 0;
    ~Lists() {
        for (Free* head : heads) {
            while (head != nullptr) {
                Free* next = head->next;
                ::operator delete(head);
                head = next;
            }
        }
    }
};

thread_local Lists lists;

}  // namespace

void* FramePool::allocate(std::size_t bytes) {
    ++lists.live;
    const std::size_t klass = (bytes + class_bytes - 1) / class_bytes;
    if (KV_POOL_BYPASSED || klass >= classes) return ::operator new(bytes);
    Free*& head = lists.heads[klass];
    if (head == nullptr) return ::operator new(klass * class_bytes);
    void* frame = head;
    head = head->next;
    return frame;
}

void FramePool::release(void* frame, std::size_t bytes) noexcept {
    --lists.live;
    const std::size_t klass = (bytes + class_bytes - 1) / class_bytes;
    if (KV_POOL_BYPASSED || klass >= classes) {
        ::operator delete(frame);
        return;
    }
    lists.heads[klass] = new (frame) Free{lists.heads[klass]};
}

std::int64_t FramePool::live() noexcept {
    return lists.live;
}

}  // namespace kv::io
