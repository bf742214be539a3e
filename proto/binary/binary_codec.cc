#include "proto/binary/binary_codec.h"

#include <algorithm>

#include "proto/request_check.h"

namespace kv::binary {

namespace {

constexpr std::size_t args_kept_max = 4096;  // capacity that survives a request

template <std::integral Integer>
void append_be(std::string& out, Integer value) {
    char bytes[sizeof value];
    store_be(bytes, value);
    out.append(bytes, sizeof bytes);
}

constexpr std::string_view set_name = "SET";

std::string truncated(std::string_view request, std::string_view field) {
    std::string text = "binary ";
    text.append(request).append(": truncated ").append(field);
    return text;
}

std::string empty_key(std::string_view request) {
    std::string text = "binary ";
    text.append(request).append(": empty key");
    return text;
}

std::string unknown_type(std::uint8_t type) {
    constexpr char digits[] = "0123456789abcdef";
    std::string text = "binary: unknown msg_type 0x";
    text.push_back(digits[type >> 4]);
    text.push_back(digits[type & 15]);
    return text;
}

ParseResult need(std::size_t payload_bytes) noexcept {
    return {.status = ParseStatus::need_more, .needed = frame_header_bytes + payload_bytes};
}

}  // namespace

/// The request is complete, or refused, whatever the rest of its payload holds.
ParseResult BinaryParser::skip_payload(std::string_view payload, std::size_t payload_bytes) {
    const std::size_t here = std::min(payload.size(), payload_bytes);
    skip_bytes_ = payload_bytes - here;
    return {.status = ParseStatus::request, .consumed = frame_header_bytes + here};
}

ParseResult BinaryParser::next(std::string_view input, Request& out) {
    if (skip_bytes_ > 0) {
        if (input.empty()) return {.status = ParseStatus::need_more, .needed = 1};
        const std::size_t here = std::min(input.size(), skip_bytes_);
        skip_bytes_ -= here;
        return {.status = ParseStatus::nothing, .consumed = here};
    }
    if (input.size() < frame_header_bytes) return need(0);
    const auto type = static_cast<std::uint8_t>(input[0]);
    const std::size_t payload_bytes = load_be<std::uint32_t>(input.data() + 1);
    const std::string_view payload = input.substr(frame_header_bytes, payload_bytes);
    out.protocol = Protocol::binary;
    out.request_id = out.session = out.sequence = 0;
    out.args = {};
    out.error_text.clear();
    if (payload_bytes > limits_.request_bytes_max) {
        refuse(out, Errc::too_large, "binary: payload is beyond the limit of a request");
        return {.status = ParseStatus::fatal};
    }
    switch (static_cast<Type>(type)) {
        case Type::set: return parse_set(payload, payload_bytes, out);
        case Type::get: return parse_key_only(payload, payload_bytes, Verb::get, out);
        case Type::del: return parse_key_only(payload, payload_bytes, Verb::del, out);
        case Type::keys: out.verb = Verb::keys; return skip_payload(payload, payload_bytes);
        case Type::ping: out.verb = Verb::ping; return skip_payload(payload, payload_bytes);
        case Type::extended: return parse_extended(payload, payload_bytes, out);
    }
    refuse(out, Errc::unknown_command, unknown_type(type));
    return skip_payload(payload, payload_bytes);
}

ParseResult BinaryParser::parse_set(std::string_view payload, std::size_t payload_bytes,
                                    Request& out) {
    const auto refused = [&](Errc error, std::string_view text) {
        refuse(out, error, text);
        return skip_payload(payload, payload_bytes);
    };
    if (payload_bytes < 2) return refused(Errc::syntax, truncated(set_name, "key_len"));
    if (payload.size() < 2) return need(2);
    const std::size_t key_bytes = load_be<std::uint16_t>(payload.data());
    const std::size_t key_end = 2 + key_bytes;
    if (payload_bytes < key_end) return refused(Errc::syntax, truncated(set_name, "key"));
    if (key_bytes == 0) return refused(Errc::key_size, empty_key(set_name));
    if (payload_bytes < key_end + 4) return refused(Errc::syntax, truncated(set_name, "value_len"));
    if (payload.size() < key_end + 4) return need(key_end + 4);
    const std::size_t value_bytes = load_be<std::uint32_t>(payload.data() + key_end);
    if (payload_bytes - key_end - 4 < value_bytes) {
        return refused(Errc::syntax, truncated(set_name, "value"));
    }
    if (key_bytes > limits_.key_bytes_max) {
        return refused(Errc::key_size, sentence(Errc::key_size));
    }
    if (value_bytes > limits_.value_bytes_max) {
        return refused(Errc::value_size, sentence(Errc::value_size));
    }
    if (payload.size() < payload_bytes) return need(payload_bytes);
    args_.resize(2);
    args_[0] = payload.substr(2, key_bytes);
    args_[1] = payload.substr(key_end + 4, value_bytes);
    out.verb = Verb::set;
    out.args = args_;
    return skip_payload(payload, payload_bytes);
}

ParseResult BinaryParser::parse_key_only(std::string_view payload, std::size_t payload_bytes,
                                         Verb verb, Request& out) {
    const std::string_view name = verb == Verb::get ? "GET" : "DEL";
    const auto refused = [&](Errc error, std::string_view text) {
        refuse(out, error, text);
        return skip_payload(payload, payload_bytes);
    };
    if (payload_bytes < 2) return refused(Errc::syntax, truncated(name, "key_len"));
    if (payload.size() < 2) return need(2);
    const std::size_t key_bytes = load_be<std::uint16_t>(payload.data());
    if (payload_bytes - 2 < key_bytes) return refused(Errc::syntax, truncated(name, "key"));
    if (key_bytes == 0) return refused(Errc::key_size, empty_key(name));
    if (key_bytes > limits_.key_bytes_max) {
        return refused(Errc::key_size, sentence(Errc::key_size));
    }
    if (payload.size() < 2 + key_bytes) return need(2 + key_bytes);
    args_.resize(1);
    args_[0] = payload.substr(2, key_bytes);
    out.verb = verb;
    out.args = args_;
    return skip_payload(payload, payload_bytes);  // what is behind the key is ignored
}

/// Walks the lengths as they arrive, so that one which cannot be right is refused before its bytes;
/// ext_at_ remembers how far. The arguments are taken in a second walk, once they are all there.
ParseResult BinaryParser::parse_extended(std::string_view payload, std::size_t payload_bytes,
                                         Request& out) {
    out.protocol = Protocol::binary_extended;
    const auto refused = [&](Errc error, std::string_view text) {
        ext_at_ = 0;
        refuse(out, error, text);
        return skip_payload(payload, payload_bytes);
    };
    if (payload_bytes < 9) return refused(Errc::syntax, "extended frame: truncated header");
    if (payload.size() < 9) return need(9);
    out.request_id = load_be<std::uint64_t>(payload.data() + 1);
    if (static_cast<std::uint8_t>(payload[0]) != extended_version) {
        return refused(Errc::unsupported, "extended frame: unknown version");
    }
    if (payload_bytes < extended_request_bytes_min) {
        return refused(Errc::syntax, "extended frame: truncated header");
    }
    if (payload.size() < extended_request_bytes_min) return need(extended_request_bytes_min);
    out.session = load_be<std::uint64_t>(payload.data() + 9);
    out.sequence = load_be<std::uint64_t>(payload.data() + 17);
    const auto opcode = static_cast<std::uint8_t>(payload[25]);
    const std::size_t argc = load_be<std::uint16_t>(payload.data() + 26);
    if (opcode == 0 || opcode > static_cast<std::uint8_t>(verb_last)) {
        return refused(Errc::unknown_command, "extended frame: unknown opcode");
    }
    if (argc > limits_.args_max) return refused(Errc::too_large, sentence(Errc::too_large));
    if ((payload_bytes - extended_request_bytes_min) / 4 < argc) {
        return refused(Errc::syntax, "extended frame: truncated argument");
    }

    const std::size_t arg_bytes_max = std::max(limits_.key_bytes_max, limits_.value_bytes_max);
    if (ext_at_ == 0) {
        ext_at_ = extended_request_bytes_min;
        args_.clear();
        if (args_.capacity() > args_kept_max) args_.shrink_to_fit();
    }
    while (args_.size() < argc) {
        if (payload_bytes - ext_at_ < 4) {
            return refused(Errc::syntax, "extended frame: truncated argument");
        }
        if (payload.size() < ext_at_ + 4) return need(ext_at_ + 4);
        const std::size_t bytes = load_be<std::uint32_t>(payload.data() + ext_at_);
        if (payload_bytes - ext_at_ - 4 < bytes) {
            return refused(Errc::syntax, "extended frame: truncated argument");
        }
        if (bytes > arg_bytes_max) return refused(Errc::value_size, sentence(Errc::value_size));
        args_.emplace_back();  // its place; the bytes may still move
        ext_at_ += 4 + bytes;
    }
    if (ext_at_ != payload_bytes) {
        return refused(Errc::syntax, "extended frame: bytes behind the last argument");
    }
    if (payload.size() < payload_bytes) return need(payload_bytes);

    std::size_t at = extended_request_bytes_min;
    for (std::string_view& arg : args_) {
        const std::size_t bytes = load_be<std::uint32_t>(payload.data() + at);
        arg = payload.substr(at + 4, bytes);
        at += 4 + bytes;
    }
    ext_at_ = 0;
    out.verb = static_cast<Verb>(opcode);
    out.args = args_;
    check_request(out, limits_);
    return skip_payload(payload, payload_bytes);
}

bool append_keys(std::string& out, std::span<const std::string_view> keys) {
    std::size_t bytes = 4;
    for (const std::string_view key : keys) {
        if (key.size() > 0xffff) return false;
        bytes += 2 + key.size();
    }
    if (bytes > frame_payload_bytes_max) return false;
    out.reserve(out.size() + frame_header_bytes + bytes);
    append_frame_header(out, ReplyStatus::keys, bytes);
    append_be(out, static_cast<std::uint32_t>(keys.size()));
    for (const std::string_view key : keys) {
        append_be(out, static_cast<std::uint16_t>(key.size()));
        out.append(key);
    }
    return true;
}

namespace {

void append_short_text(std::string& out, ReplyStatus status, std::string_view text) {
    text = text.substr(0, 0xffff);
    append_frame_header(out, status, 2 + text.size());
    append_be(out, static_cast<std::uint16_t>(text.size()));
    out.append(text);
}

std::optional<std::string_view> as_item(std::string_view item) {
    return item;
}
std::optional<std::string_view> as_item(std::optional<std::string_view> item) {
    return item;
}

template <typename Item>
bool append_array(std::string& out, std::uint64_t request_id, std::span<const Item> items) {
    std::size_t bytes = 4;
    for (const auto& item : items) bytes += 4 + as_item(item).value_or("").size();
    if (bytes > frame_payload_bytes_max - extended_reply_bytes_min) return false;
    out.reserve(out.size() + frame_header_bytes + extended_reply_bytes_min + bytes);
    append_extended_header(out, request_id, Outcome::applied, Kind::array, bytes);
    append_be(out, static_cast<std::uint32_t>(items.size()));
    for (const auto& each : items) {
        const std::optional<std::string_view> item = as_item(each);
        append_be(out, item ? static_cast<std::uint32_t>(item->size()) : absent_length);
        out.append(item.value_or(""));
    }
    return true;
}

}  // namespace

void append_error(std::string& out, std::string_view text) {
    append_short_text(out, ReplyStatus::error, text);
}

void append_redirect(std::string& out, std::string_view address) {
    append_short_text(out, ReplyStatus::redirect, address);
}

void append_extended_integer(std::string& out, std::uint64_t request_id, std::int64_t value) {
    append_extended_header(out, request_id, Outcome::applied, Kind::integer, 8);
    append_be(out, value);
}

bool append_extended_array(std::string& out, std::uint64_t request_id,
                           std::span<const std::string_view> items) {
    return append_array(out, request_id, items);
}

bool append_extended_array(std::string& out, std::uint64_t request_id,
                           std::span<const std::optional<std::string_view>> items) {
    return append_array(out, request_id, items);
}

void append_extended_error(std::string& out, std::uint64_t request_id, Errc error,
                           std::string_view text) {
    text = text.substr(0, 0xffff);
    append_extended_header(out, request_id, outcome(error), Kind::error, 2 + text.size());
    append_be(out, static_cast<std::uint16_t>(error));
    out.append(text);
}

void append_extended_redirect(std::string& out, std::uint64_t request_id, std::uint16_t slot,
                              std::string_view address) {
    append_extended_header(out, request_id, Outcome::not_applied, Kind::redirect,
                           2 + address.size());
    append_be(out, slot);
    out.append(address);
}

}  // namespace kv::binary
