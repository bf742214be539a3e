#pragma once

/// Assertions. KV_ASSERT states what only a bug can break and stays on in release builds: it prints
/// the expression and, when given, a formatted explanation with the values, then aborts. Bytes from
/// outside (disk, network, configuration) are never asserted: they return a Result.
/// KV_DCHECK is for checks that cost more than O(1); it is on when KV_DCHECKS is 1.

#include <fmt/core.h>

#include <cstdio>
#include <cstdlib>
#include <string>

namespace kv::detail {

[[noreturn]] inline void assert_failed(const char* file, int line, const char* expression,
                                       const std::string& explanation) noexcept {
    std::fprintf(stderr, "%s:%d: assertion failed: %s%s%s\n", file, line, expression,
                 explanation.empty() ? "" : ": ", explanation.c_str());
    std::fflush(stderr);
    std::abort();
}

inline std::string explain() {
    return {};
}
template <typename... Args>
std::string explain(fmt::format_string<Args...> format, Args&&... args) {
    return fmt::format(format, std::forward<Args>(args)...);
}

}  // namespace kv::detail

#define KV_ASSERT(expression, ...)                                      \
    (__builtin_expect(static_cast<bool>(expression), 1)                 \
         ? static_cast<void>(0)                                         \
         : ::kv::detail::assert_failed(__FILE__, __LINE__, #expression, \
                                       ::kv::detail::explain(__VA_ARGS__)))

#if KV_DCHECKS
#define KV_DCHECK(expression, ...) KV_ASSERT(expression __VA_OPT__(, ) __VA_ARGS__)
#else
#define KV_DCHECK(expression, ...) static_cast<void>(0)
#endif

#define KV_UNREACHABLE(...)                                        \
    ::kv::detail::assert_failed(__FILE__, __LINE__, "unreachable", \
                                ::kv::detail::explain(__VA_ARGS__))
