#pragma once

/// Tells AddressSanitizer which bytes of our own allocator nobody may touch. Nothing without it.

#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#define KV_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define KV_ASAN 1
#endif
#endif

#ifdef KV_ASAN
#include <sanitizer/asan_interface.h>
#endif

namespace kv {

inline void poison([[maybe_unused]] const void* at, [[maybe_unused]] std::size_t bytes) noexcept {
#ifdef KV_ASAN
    ASAN_POISON_MEMORY_REGION(at, bytes);
#endif
}
inline void unpoison([[maybe_unused]] const void* at, [[maybe_unused]] std::size_t bytes) noexcept {
#ifdef KV_ASAN
    ASAN_UNPOISON_MEMORY_REGION(at, bytes);
#endif
}
/// Whether `at` lies in poisoned memory; false without AddressSanitizer.
inline bool is_poisoned([[maybe_unused]] const void* at) noexcept {
#ifdef KV_ASAN
    return __asan_address_is_poisoned(at) != 0;
#else
    return false;
#endif
}

}  // namespace kv
