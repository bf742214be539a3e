#include "bin/kv-bench/reply_counter.h"

#include <charconv>

#include "proto/base/bytes.h"

namespace kv::bench {

namespace {

/// Statuses of the binary protocol.
enum : unsigned char {
    status_ok = 0x00,
    status_value = 0x01,
    status_not_found = 0x02,
    status_pong = 0x05,
    status_error = 0x10,
    status_redirect = 0x20,
};

/// Takes the bytes up to and with the next LF, or all; true: that ended the line.
bool take_line(std::string_view& bytes, Prefix& line) noexcept {
    const std::size_t end = bytes.find('\n');
    const std::size_t taken = end == std::string_view::npos ? bytes.size() : end + 1;
    line.append(bytes.substr(0, taken));
    bytes.remove_prefix(taken);
    return end != std::string_view::npos;
}

/// The line without its end, as far as it was kept.
std::string_view content(const Prefix& line) noexcept {
    std::string_view text = line.view();
    if (text.ends_with('\n')) text.remove_suffix(1);
    if (text.ends_with('\r')) text.remove_suffix(1);
    return text;
}

}  // namespace

std::string_view name(Wire wire) noexcept {
    switch (wire) {
        case Wire::binary: return "binary";
        case Wire::resp: return "resp";
        case Wire::text: return "text";
    }
    return "";
}

void ErrorKinds::add(std::string_view kind, std::string_view text, std::uint64_t count) {
    total_ += count;
    for (Kind& known : kinds_) {
        if (known.name != kind) continue;
        known.count += count;
        return;
    }
    if (kinds_.size() < kinds_max) {
        kinds_.push_back({std::string(kind), count, std::string(text), classify_error(kind, text)});
    } else if (kinds_.back().name == "other") {
        kinds_.back().count += count;
    } else {
        // Once: kinds_max + 1 in all.
        kinds_.push_back({"other", count, std::string(text), ErrorClass::other});
    }
}

void ErrorKinds::merge(const ErrorKinds& other) {
    for (const Kind& kind : other.kinds_) add(kind.name, kind.first, kind.count);
}

std::uint64_t ErrorKinds::of_class(ErrorClass error) const noexcept {
    std::uint64_t count = 0;
    for (const Kind& kind : kinds_) {
        if (kind.error_class == error) count += kind.count;
    }
    return count;
}

void ReplyCounts::merge(const ReplyCounts& other) {
    replies += other.replies;
    not_found += other.not_found;
    errors.merge(other.errors);
}

void BinaryCounter::start_body() noexcept {
    message_.clear();
    body_left_ = load_be<std::uint32_t>(head_.data() + 1);
    const auto status = static_cast<unsigned char>(head_[0]);
    const bool known = status <= status_pong || status == status_error || status == status_redirect;
    if (!known || body_left_ > reply_bytes_max) broken_ = true;
}

void BinaryCounter::finish(ReplyCounts& counts) {
    const auto status = static_cast<unsigned char>(head_[0]);
    head_bytes_ = 0;
    if (status == status_not_found) {
        ++counts.not_found;
    } else if (status == status_error || status == status_redirect) {
        std::string_view text = message_.view();  // u16 length, text
        text.remove_prefix(std::min<std::size_t>(2, text.size()));
        if (text.empty()) text = "error without a message";
        counts.error(status == status_redirect ? "REDIRECT" : text, text);
    }
    ++counts.replies;
}

std::size_t BinaryCounter::feed(std::string_view bytes, ReplyCounts& counts) {
    std::size_t done = 0;
    while (!bytes.empty() && !broken_) {
        if (head_bytes_ == 0) {
            // Most replies are OK without a payload: five zeros.
            static constexpr std::array<char, 5> ok{};
            std::size_t run = 0;
            while (bytes.size() - run >= ok.size() &&
                   std::memcmp(bytes.data() + run, ok.data(), ok.size()) == 0) {
                run += ok.size();
            }
            bytes.remove_prefix(run);
            counts.replies += run / ok.size();
            done += run / ok.size();
            if (bytes.empty()) break;
        }
        if (head_bytes_ < head_.size()) {
            const std::size_t taken = std::min(head_.size() - head_bytes_, bytes.size());
            std::memcpy(head_.data() + head_bytes_, bytes.data(), taken);
            head_bytes_ = static_cast<std::uint8_t>(head_bytes_ + taken);
            bytes.remove_prefix(taken);
            if (head_bytes_ < head_.size()) break;
            start_body();
            if (broken_) break;
        }
        const std::size_t taken = std::min<std::size_t>(body_left_, bytes.size());
        if (static_cast<unsigned char>(head_[0]) >= status_error) {
            message_.append(bytes.substr(0, taken));
        }
        bytes.remove_prefix(taken);
        body_left_ -= static_cast<std::uint32_t>(taken);
        if (body_left_ == 0) {
            finish(counts);
            ++done;
        }
    }
    return done;
}

/// `*3`, `$100`, `$-1` ...: what follows belongs to the value.
void RespCounter::finish_length(char type, std::string_view digits, ReplyCounts& counts) {
    std::int64_t length = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), length);
    const bool valid = error == std::errc{} && end == digits.data() + digits.size() &&
                       length >= -1 && length <= static_cast<std::int64_t>(reply_bytes_max);
    if (!valid) {
        broken_ = true;
        return;
    }
    if (length == -1) {
        ++counts.not_found;
        --values_left_;
        return;
    }
    const auto count = static_cast<std::uint64_t>(length);
    switch (type) {
        case '*':
        case '~':
        case '>': values_left_ += count - 1; break;  // its values instead of itself
        case '%': values_left_ += 2 * count - 1; break;
        default: body_left_ = count + 2; break;
    }
}

void RespCounter::finish_line(ReplyCounts& counts) {
    const std::string_view line = content(line_);
    if (line.empty()) {
        broken_ = true;
        return;
    }
    if (values_left_ == 0) values_left_ = 1;
    switch (line[0]) {
        case '+':
        case ':':
        case ',':
        case '(':
        case '#': --values_left_; break;
        case '_':
            ++counts.not_found;
            --values_left_;
            break;
        case '-': {
            const std::string_view text = line.substr(1);
            counts.error(text.starts_with("ERR ") ? text : text.substr(0, text.find(' ')), text);
            --values_left_;
            break;
        }
        case '$':
        case '=':
        case '!':
        case '*':
        case '~':
        case '>':
        case '%': finish_length(line[0], line.substr(1), counts); break;
        default: broken_ = true; break;
    }
}

/// Takes replies that are there in one piece off the front: OK, and values of which there is all.
/// These are nearly all that a server sends, and need none of the state above.
std::size_t RespCounter::take_whole(std::string_view& bytes, ReplyCounts& counts) noexcept {
    static constexpr std::string_view ok = "+OK\r\n";
    const char* at = bytes.data();
    const char* const end = at + bytes.size();
    std::size_t done = 0;
    for (;;) {
        const auto left = static_cast<std::size_t>(end - at);
        if (left >= ok.size() && std::memcmp(at, ok.data(), ok.size()) == 0) {
            at += ok.size();
        } else if (left > 3 && *at == '$' && at[1] >= '0' && at[1] <= '9') {
            const char* digit = at + 1;
            std::size_t length = 0;
            // Six digits cannot overflow; a longer value goes the long way.
            for (; digit < end && digit < at + 7 && *digit >= '0' && *digit <= '9'; ++digit) {
                length = 10 * length + static_cast<std::size_t>(*digit - '0');
            }
            const auto behind = static_cast<std::size_t>(end - digit);
            if (behind < length + 4 || digit[0] != '\r' || digit[1] != '\n') break;
            at = digit + length + 4;
        } else {
            break;
        }
        ++done;
    }
    bytes.remove_prefix(static_cast<std::size_t>(at - bytes.data()));
    counts.replies += done;
    return done;
}

std::size_t RespCounter::feed(std::string_view bytes, ReplyCounts& counts) {
    std::size_t done = 0;
    while (!bytes.empty() && !broken_) {
        const bool between_replies = body_left_ == 0 && values_left_ == 0 && line_.total() == 0;
        if (between_replies) {
            done += take_whole(bytes, counts);
            if (bytes.empty()) break;
        }
        if (body_left_ > 0) {
            const std::size_t taken = std::min<std::size_t>(body_left_, bytes.size());
            bytes.remove_prefix(taken);
            body_left_ -= taken;
            if (body_left_ > 0) break;
            --values_left_;
        } else {
            if (!take_line(bytes, line_)) break;
            finish_line(counts);
            line_.clear();
        }
        if (values_left_ == 0 && !broken_) {
            ++counts.replies;
            ++done;
        }
    }
    // A line is short, but for an error that never ends.
    if (line_.total() > reply_bytes_max) broken_ = true;
    return done;
}

void TextCounter::finish_line(ReplyCounts& counts) {
    const std::string_view line = content(line_);
    if (line.starts_with("VALUE ") || line == "OK") {
    } else if (line == "NOT_FOUND") {
        ++counts.not_found;
    } else if (line.starts_with("ERROR ")) {
        counts.error(line.substr(6), line.substr(6));
    } else if (line.starts_with("REDIRECT ")) {
        counts.error("REDIRECT", line.substr(9));
    } else if (line != "PONG" && line != "DELETED" && line != "KEYS" &&
               !line.starts_with("KEYS ")) {
        broken_ = true;
    }
}

std::size_t TextCounter::feed(std::string_view bytes, ReplyCounts& counts) {
    std::size_t done = 0;
    while (!bytes.empty() && !broken_) {
        if (!take_line(bytes, line_)) break;
        finish_line(counts);
        line_.clear();
        if (broken_) break;
        ++counts.replies;
        ++done;
    }
    if (line_.total() > reply_bytes_max) broken_ = true;
    return done;
}

ReplyCounter::ReplyCounter(Wire wire) {
    switch (wire) {
        case Wire::binary: break;  // what the variant starts with
        case Wire::resp: counter_.emplace<RespCounter>(); break;
        case Wire::text: counter_.emplace<TextCounter>(); break;
    }
}

}  // namespace kv::bench
