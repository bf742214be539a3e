#pragma once

/// Counts the replies in a byte stream without building them: what a load generator needs to know
/// is how many requests are answered, and how many of them badly. The result does not depend on
/// how the stream is cut. One counter per connection; nothing is allocated, except to remember a
/// new kind of error.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "bin/kv-bench/error_class.h"

namespace kv::bench {

enum class Wire : std::uint8_t { binary, resp, text };

std::string_view name(Wire wire) noexcept;

/// How often each error was answered, or met. A kind is what stays the same between two errors of
/// one cause: the first word of a RESP error ("MOVED"), but for ERR the message; "REDIRECT"; else
/// the message.
class ErrorKinds {
public:
    static constexpr std::size_t kinds_max = 16;  ///< what comes later counts as "other"
    struct Kind {
        std::string name;
        std::uint64_t count = 0;
        std::string first;  ///< the whole text of the first one, as far as it is kept
        /// Of the first one: what is of one kind is of one class, but for "other".
        ErrorClass error_class = ErrorClass::other;
    };

    void add(std::string_view kind, std::string_view text, std::uint64_t count = 1);
    void add(std::string_view kind) { add(kind, kind); }
    void merge(const ErrorKinds& other);
    const std::vector<Kind>& kinds() const noexcept { return kinds_; }
    std::uint64_t of_class(ErrorClass error) const noexcept;
    std::uint64_t total() const noexcept { return total_; }

private:
    std::vector<Kind> kinds_;
    std::uint64_t total_ = 0;
};

/// An error reply, for who wants to do something about it.
struct ErrorReply {
    std::uint64_t at;  ///< its number among the replies
    std::string kind;
    std::string text;
};

/// What all connections of one thread count into.
struct ReplyCounts {
    std::uint64_t replies = 0;  ///< all, whatever they say
    std::uint64_t not_found = 0;
    ErrorKinds errors;
    /// Not null: it gets the error replies, and `errors` does not.
    std::vector<ErrorReply>* collected = nullptr;

    /// The reply that comes next is an error.
    void error(std::string_view kind, std::string_view text) {
        if (collected == nullptr) return errors.add(kind, text);
        collected->push_back({replies, std::string(kind), std::string(text)});
    }

    void merge(const ReplyCounts& other);
};

/// The front of a line or of a message: enough to know what it is and to name an error.
class Prefix {
public:
    static constexpr std::size_t kept_max = 160;

    void clear() noexcept { total_ = 0; }
    void append(std::string_view bytes) noexcept {
        if (total_ < kept_.size()) {
            const std::size_t kept = std::min(bytes.size(), kept_.size() - total_);
            std::memcpy(kept_.data() + total_, bytes.data(), kept);
        }
        total_ += bytes.size();
    }
    std::string_view view() const noexcept {
        return {kept_.data(), std::min(total_, kept_.size())};
    }
    std::size_t total() const noexcept { return total_; }  ///< also what was not kept

private:
    std::array<char, kept_max> kept_;
    std::size_t total_ = 0;
};

/// A reply longer than any server may send: the stream is garbage.
inline constexpr std::uint64_t reply_bytes_max = 64u << 20;

// Each: feed() consumes `bytes`, returns how many replies they complete, and adds to `counts`.
// After broken() the stream cannot be followed and nothing more is counted.

/// [u8 status][u32 length, big-endian][payload].
class BinaryCounter {
public:
    std::size_t feed(std::string_view bytes, ReplyCounts& counts);
    bool broken() const noexcept { return broken_; }

private:
    void start_body() noexcept;
    void finish(ReplyCounts& counts);

    std::array<char, 5> head_{};
    std::uint8_t head_bytes_ = 0;
    bool broken_ = false;
    std::uint32_t body_left_ = 0;
    Prefix message_;
};

/// RESP2 and RESP3 replies, nested ones too.
class RespCounter {
public:
    std::size_t feed(std::string_view bytes, ReplyCounts& counts);
    bool broken() const noexcept { return broken_; }

private:
    std::size_t take_whole(std::string_view& bytes, ReplyCounts& counts) noexcept;
    void finish_line(ReplyCounts& counts);
    void finish_length(char type, std::string_view digits, ReplyCounts& counts);

    Prefix line_;
    std::uint64_t body_left_ = 0;    ///< of a bulk string, with the CRLF behind it
    std::uint64_t values_left_ = 0;  ///< that still belong to the reply; 0 between replies
    bool broken_ = false;
};

/// One line each.
class TextCounter {
public:
    std::size_t feed(std::string_view bytes, ReplyCounts& counts);
    bool broken() const noexcept { return broken_; }

private:
    void finish_line(ReplyCounts& counts);

    Prefix line_;
    bool broken_ = false;
};

class ReplyCounter {
public:
    explicit ReplyCounter(Wire wire);

    std::size_t feed(std::string_view bytes, ReplyCounts& counts) {
        return std::visit([&](auto& counter) { return counter.feed(bytes, counts); }, counter_);
    }
    bool broken() const noexcept {
        return std::visit([](const auto& counter) { return counter.broken(); }, counter_);
    }

private:
    std::variant<BinaryCounter, RespCounter, TextCounter> counter_;
};

}  // namespace kv::bench
