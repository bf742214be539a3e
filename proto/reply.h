#pragma once

/// What a request's answer means, written in whichever protocol it came in. The executor names the
/// meaning (a value, a count, an error); the wire formats stay in the codecs.
///
///     method          text            binary           extended    RESP
///     ok              OK              OK               ok          +OK
///     pong            PONG            PONG             ok, value   +PONG, bulk
///     value           VALUE v         VALUE            value       bulk
///     absent          NOT_FOUND       NOT_FOUND        absent      nil; RESP3: null
///     deleted         DELETED,        DELETED,         integer     integer
///                     NOT_FOUND       NOT_FOUND
///     integer         VALUE n         VALUE            integer     integer
///     bulk            VALUE v         VALUE            value       bulk
///     values          -               -                array       array, nil for absent ones
///     keys            KEYS, sorted    KEYS             array       array
///     strings         -               -                array       array
///     pairs           -               -                array       array; RESP3: map
///     simple          VALUE v         VALUE            value       +v
///     verbatim        VALUE v         VALUE            value       bulk; RESP3: verbatim
///     scanned         -               -                array       array of cursor and array
///     compose         -               -                -           whatever nests
///     empty_array     KEYS            KEYS             array       empty array
///     error           ERROR text      ERROR            error       -PREFIX text
///     redirect        REDIRECT addr   REDIRECT         redirect    -MOVED slot addr
///
/// `-`: these protocols have no request that leads there; an error is written all the same. What a
/// protocol cannot carry is an error too, and never a malformed reply.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "proto/binary/binary_codec.h"
#include "proto/command.h"
#include "proto/resp/resp_codec.h"
#include "proto/resp/resp_writer.h"
#include "proto/text/text_codec.h"

namespace kv {

/// Writes one reply behind what `out` holds already; `out` outlives it. Call exactly one method.
/// Nothing is allocated but by the growth of `out` (and by keys() in text, which sorts).
class ReplyWriter {
public:
    ReplyWriter(Protocol protocol, std::uint64_t request_id, std::string& out) noexcept
        : protocol_(protocol), request_id_(request_id), out_(out) {}

    void ok() {
        switch (protocol_) {
            case Protocol::text: return text::append_ok(out_);
            case Protocol::binary: return binary::append_empty(out_, binary::ReplyStatus::ok);
            case Protocol::binary_extended:
                return binary::append_extended_empty(out_, request_id_, binary::Kind::ok);
            case Protocol::resp:
            case Protocol::resp3: return resp::append_ok(out_);
        }
    }

    /// GET found `value`. It has at most limits.value_bytes_max bytes.
    void value(std::string_view value) {
        switch (protocol_) {
            case Protocol::text: return text::append_value(out_, value);
            case Protocol::binary: return binary::append_value(out_, value);
            case Protocol::binary_extended:
                return binary::append_extended_value(out_, request_id_, value);
            case Protocol::resp:
            case Protocol::resp3: return resp::append_bulk(out_, value);
        }
    }

    /// GET found nothing.
    void absent() {
        switch (protocol_) {
            case Protocol::text: return text::append_not_found(out_);
            case Protocol::binary:
                return binary::append_empty(out_, binary::ReplyStatus::not_found);
            case Protocol::binary_extended:
                return binary::append_extended_empty(out_, request_id_, binary::Kind::absent);
            case Protocol::resp: return resp::append_nil(out_);
            case Protocol::resp3: return resp::append_null(out_);
        }
    }

    /// DEL removed `count` keys.
    void deleted(std::int64_t count) {
        switch (protocol_) {
            case Protocol::text:
                return count > 0 ? text::append_deleted(out_) : text::append_not_found(out_);
            case Protocol::binary:
                return binary::append_empty(out_, count > 0 ? binary::ReplyStatus::deleted
                                                            : binary::ReplyStatus::not_found);
            case Protocol::binary_extended:
                return binary::append_extended_integer(out_, request_id_, count);
            case Protocol::resp:
            case Protocol::resp3: return resp::append_integer(out_, count);
        }
    }

    /// PING; its message comes back where the protocol has room for one.
    void pong(std::optional<std::string_view> message = std::nullopt);
    void integer(std::int64_t number);
    /// ECHO, INFO: bytes that are not the value of a key.
    void bulk(std::string_view bytes) { value(bytes); }
    /// MGET, one element per key.
    void values(std::span<const std::optional<std::string_view>> values);
    /// KEYS, in any order.
    void keys(std::span<const std::string_view> keys);
    void strings(std::span<const std::string_view> strings);
    /// Names and values in turn.
    void pairs(std::span<const std::string_view> strings);
    void simple(std::string_view text);
    /// Lines for people.
    void verbatim(std::string_view text);
    /// A step of SCAN; extended: the cursor is the first item, the keys follow.
    void scanned(std::uint64_t cursor, std::span<const std::string_view> keys);
    /// What only RESP can carry: f(resp::Writer&) writes one reply.
    template <typename F>
    void compose(F&& f) {
        if (!is_resp(protocol_)) return cannot_carry();
        resp::Writer writer(out_, protocol_ == Protocol::resp3);
        f(writer);
    }
    void empty_array() { keys({}); }
    /// `text` without any prefix of the protocol; it may echo untrusted bytes.
    void error(Errc error, std::string_view text);
    /// The same with the sentence of the error.
    void error(Errc error) { this->error(error, sentence(error)); }
    /// RESP: an error line that begins with a word of its own, which has no Errc: WRONGPASS.
    void raw_error(std::string_view line);
    /// Another node answers for `slot`, at `address`, a host:port.
    void redirect(std::uint16_t slot, std::string_view address);

private:
    void cannot_carry();
    void require(bool fits);

    Protocol protocol_;
    std::uint64_t request_id_;
    std::string& out_;
};

}  // namespace kv
