#pragma once

/// Result<T>: a value, or an Error that the caller must take. What the world can cause travels this
/// way; nothing throws across a function.

#include <expected>
#include <string>
#include <utility>

#include "proto/base/errc.h"

namespace kv {

struct [[nodiscard]] Error {
    Errc code;
    std::string detail;  ///< what a person needs: file, offset, system error; may be empty

    /// "detail" when there is one, else the sentence of the code.
    std::string text() const { return detail.empty() ? std::string(sentence(code)) : detail; }
};

template <typename T>
using Result = std::expected<T, Error>;
using Status = Result<void>;

/// The failed Result, of whatever type the caller returns: `return fail(Errc::truncated);`
inline std::unexpected<Error> fail(Errc code, std::string detail = {}) {
    return std::unexpected<Error>(Error{code, std::move(detail)});
}
inline std::unexpected<Error> fail(Error error) {
    return std::unexpected<Error>(std::move(error));
}

}  // namespace kv

#define KV_CONCAT_2(a, b) a##b
#define KV_CONCAT(a, b) KV_CONCAT_2(a, b)

/// `KV_TRY(const Lsn end, stage(records));` declares the value, or returns the error.
/// A declaration and not an expression: g++ 12.2 crashes on co_return in statement expressions.
#define KV_TRY_IMPL(holder, declaration, expression, return_keyword)   \
    auto holder = (expression);                                        \
    if (!holder) return_keyword ::kv::fail(std::move(holder.error())); \
    declaration = *std::move(holder)
#define KV_TRY(declaration, expression) \
    KV_TRY_IMPL(KV_CONCAT(kv_try_, __LINE__), declaration, expression, return)
/// The same for Status: nothing is declared.
#define KV_CHECK(expression) \
    if (auto kv_status = (expression); !kv_status) return ::kv::fail(std::move(kv_status.error()))
/// The same in a coroutine: `KV_CO_TRY(const File file, co_await open(path));`
#define KV_CO_TRY(declaration, expression) \
    KV_TRY_IMPL(KV_CONCAT(kv_try_, __LINE__), declaration, expression, co_return)
#define KV_CO_CHECK(expression)                                \
    const auto KV_CONCAT(kv_status_, __LINE__) = (expression); \
    if (!KV_CONCAT(kv_status_, __LINE__))                      \
    co_return ::kv::fail(KV_CONCAT(kv_status_, __LINE__).error())
