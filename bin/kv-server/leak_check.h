#pragma once

/// The leak check of a sanitized build, for a process that ends with _exit and so leaves it out.
/// Nothing in other builds.

#if defined(__SANITIZE_ADDRESS__)
#define KV_LEAK_CHECK 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define KV_LEAK_CHECK 1
#endif
#endif

#ifdef KV_LEAK_CHECK
#include <sanitizer/lsan_interface.h>

/// The index keeps 48 bits of a pointer in a word of its own: large values look lost. The tests of
/// the store free all they make, and check it.
extern "C" [[gnu::used]] inline const char* __lsan_default_suppressions() {
    return "leak:kv::Slab::allocate_large\n";
}
#endif

namespace kv {

/// Reports memory that nothing refers to any more, and then ends the process with an exit code that
/// nothing else has. What is reachable is no leak: it need not be freed before an exit.
inline void check_leaks() noexcept {
#ifdef KV_LEAK_CHECK
    __lsan_do_leak_check();
#endif
}

}  // namespace kv
