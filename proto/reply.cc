#include "proto/reply.h"

#include <charconv>
#include <vector>

#include "proto/line.h"

namespace kv {

void ReplyWriter::cannot_carry() {
    error(Errc::unsupported, "this protocol has no such reply: use RESP or the extended frame");
}

/// An array that is too long for a frame: nothing is written yet.
void ReplyWriter::require(bool fits) {
    if (!fits) error(Errc::too_large);
}

void ReplyWriter::pong(std::optional<std::string_view> message) {
    switch (protocol_) {
        case Protocol::text: return text::append_pong(out_);
        case Protocol::binary: return binary::append_empty(out_, binary::ReplyStatus::pong);
        case Protocol::binary_extended: return message ? value(*message) : ok();
        case Protocol::resp:
        case Protocol::resp3:
            return message ? resp::append_bulk(out_, *message) : resp::append_simple(out_, "PONG");
    }
}

void ReplyWriter::integer(std::int64_t number) {
    switch (protocol_) {
        case Protocol::text:
        case Protocol::binary: {
            char digits[20];
            const auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
            return value({digits, static_cast<std::size_t>(end - digits)});
        }
        case Protocol::binary_extended:
            return binary::append_extended_integer(out_, request_id_, number);
        case Protocol::resp:
        case Protocol::resp3: return resp::append_integer(out_, number);
    }
}

void ReplyWriter::values(std::span<const std::optional<std::string_view>> values) {
    switch (protocol_) {
        case Protocol::text:
        case Protocol::binary: return cannot_carry();
        case Protocol::binary_extended:
            return require(binary::append_extended_array(out_, request_id_, values));
        case Protocol::resp:
        case Protocol::resp3:
            resp::append_array_header(out_, values.size());
            for (const auto& value : values) {
                value ? resp::append_bulk(out_, *value) : absent();
            }
            return;
    }
}

void ReplyWriter::keys(std::span<const std::string_view> keys) {
    switch (protocol_) {
        case Protocol::text: return text::append_keys(out_, keys);
        case Protocol::binary: return require(binary::append_keys(out_, keys));
        case Protocol::binary_extended:
        case Protocol::resp:
        case Protocol::resp3: return strings(keys);
    }
}

void ReplyWriter::strings(std::span<const std::string_view> strings) {
    switch (protocol_) {
        case Protocol::text:
        case Protocol::binary: return cannot_carry();
        case Protocol::binary_extended:
            return require(binary::append_extended_array(out_, request_id_, strings));
        case Protocol::resp:
        case Protocol::resp3:
            resp::append_array_header(out_, strings.size());
            for (const std::string_view each : strings) resp::append_bulk(out_, each);
            return;
    }
}

void ReplyWriter::pairs(std::span<const std::string_view> strings) {
    if (protocol_ != Protocol::resp3) return this->strings(strings);
    resp::Writer writer(out_, true);
    writer.map(strings.size() / 2);
    for (const std::string_view each : strings) writer.bulk(each);
}

void ReplyWriter::simple(std::string_view text) {
    is_resp(protocol_) ? resp::append_simple(out_, text) : value(text);
}

void ReplyWriter::verbatim(std::string_view text) {
    protocol_ == Protocol::resp3 ? resp::Writer(out_, true).verbatim(text) : value(text);
}

void ReplyWriter::scanned(std::uint64_t cursor, std::span<const std::string_view> keys) {
    char digits[20];
    const auto end = std::to_chars(digits, digits + sizeof digits, cursor).ptr;
    const std::string_view text(digits, static_cast<std::size_t>(end - digits));
    if (is_resp(protocol_)) {
        resp::append_array_header(out_, 2);
        resp::append_bulk(out_, text);
        return strings(keys);
    }
    std::vector<std::string_view> items{text};
    items.insert(items.end(), keys.begin(), keys.end());
    strings(items);
}

void ReplyWriter::error(Errc error, std::string_view text) {
    switch (protocol_) {
        case Protocol::text: return text::append_error(out_, text);
        case Protocol::binary: return binary::append_error(out_, text);
        case Protocol::binary_extended:
            return binary::append_extended_error(out_, request_id_, error, text);
        case Protocol::resp:
        case Protocol::resp3: return resp::append_error(out_, error, text);
    }
}

void ReplyWriter::raw_error(std::string_view line) {
    if (!is_resp(protocol_)) return error(Errc::syntax, line);
    out_.push_back('-');
    append_one_line(out_, line);
    out_.append("\r\n");
}

void ReplyWriter::redirect(std::uint16_t slot, std::string_view address) {
    switch (protocol_) {
        case Protocol::text: return text::append_redirect(out_, address);
        case Protocol::binary: return binary::append_redirect(out_, address);
        case Protocol::binary_extended:
            return binary::append_extended_redirect(out_, request_id_, slot, address);
        case Protocol::resp:
        case Protocol::resp3: return resp::append_moved(out_, slot, address);
    }
}

}  // namespace kv
