#include "proto/reply.h"

#include <charconv>

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
        case Protocol::resp: return resp::append_integer(out_, number);
    }
}

void ReplyWriter::values(std::span<const std::optional<std::string_view>> values) {
    switch (protocol_) {
        case Protocol::text:
        case Protocol::binary: return cannot_carry();
        case Protocol::binary_extended:
            return require(binary::append_extended_array(out_, request_id_, values));
        case Protocol::resp:
            resp::append_array_header(out_, values.size());
            for (const auto& value : values) {
                value ? resp::append_bulk(out_, *value) : resp::append_nil(out_);
            }
            return;
    }
}

void ReplyWriter::keys(std::span<const std::string_view> keys) {
    switch (protocol_) {
        case Protocol::text: return text::append_keys(out_, keys);
        case Protocol::binary: return require(binary::append_keys(out_, keys));
        case Protocol::binary_extended:
        case Protocol::resp: return strings(keys);
    }
}

void ReplyWriter::strings(std::span<const std::string_view> strings) {
    switch (protocol_) {
        case Protocol::text:
        case Protocol::binary: return cannot_carry();
        case Protocol::binary_extended:
            return require(binary::append_extended_array(out_, request_id_, strings));
        case Protocol::resp:
            resp::append_array_header(out_, strings.size());
            for (const std::string_view each : strings) resp::append_bulk(out_, each);
            return;
    }
}

void ReplyWriter::error(Errc error, std::string_view text) {
    switch (protocol_) {
        case Protocol::text: return text::append_error(out_, text);
        case Protocol::binary: return binary::append_error(out_, text);
        case Protocol::binary_extended:
            return binary::append_extended_error(out_, request_id_, error, text);
        case Protocol::resp: return resp::append_error(out_, error, text);
    }
}

void ReplyWriter::redirect(std::uint16_t slot, std::string_view address) {
    switch (protocol_) {
        case Protocol::text: return text::append_redirect(out_, address);
        case Protocol::binary: return binary::append_redirect(out_, address);
        case Protocol::binary_extended:
            return binary::append_extended_redirect(out_, request_id_, slot, address);
        case Protocol::resp: return resp::append_moved(out_, slot, address);
    }
}

}  // namespace kv
