#pragma once

/// Coroutine frames from free lists of the thread that runs them: 64-byte classes up to 2 KiB,
/// larger ones from the heap. Sanitizer builds bypass the lists, so that a use after free is seen.
/// With this_ready (io/ready_queue.h) it is the only thread-local state of the program.

#include <cstddef>
#include <cstdint>

namespace kv::io {

class FramePool {
public:
    static void* allocate(std::size_t bytes);
    static void release(void* frame, std::size_t bytes) noexcept;
    /// Frames of this thread that are alive: zero once everything has ended.
    static std::int64_t live() noexcept;
};

/// Base of every promise type: frames come from the pool.
struct PooledFrame {
    static void* operator new(std::size_t bytes) { return FramePool::allocate(bytes); }
    static void operator delete(void* frame, std::size_t bytes) noexcept {
        FramePool::release(frame, bytes);
    }
};

}  // namespace kv::io
