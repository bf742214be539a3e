#include "proto/binary/binary_client.h"

#include <utility>

namespace kv::binary {

namespace {

void append_request_header(std::string& out, Type type, std::size_t payload_bytes) {
    char header[frame_header_bytes];
    header[0] = static_cast<char>(type);
    store_be(header + 1, static_cast<std::uint32_t>(payload_bytes));
    out.append(header, sizeof header);
}

template <std::integral Integer>
void append_be(std::string& out, Integer value) {
    char bytes[sizeof value];
    store_be(bytes, value);
    out.append(bytes, sizeof bytes);
}

/// Takes fields off the front of a payload; once one is missing, everything is.
class Fields {
public:
    explicit Fields(std::string_view payload) noexcept : rest_(payload) {}
    template <std::integral Integer>
    Integer take() noexcept {
        const std::string_view bytes = take_bytes(sizeof(Integer));
        return complete_ ? load_be<Integer>(bytes.data()) : Integer{0};
    }
    std::string_view take_bytes(std::size_t bytes) noexcept {
        if (bytes > rest_.size()) complete_ = false;
        if (!complete_) return {};
        const std::string_view taken = rest_.substr(0, bytes);
        rest_.remove_prefix(bytes);
        return taken;
    }
    std::string_view take_rest() noexcept { return take_bytes(rest_.size()); }
    bool complete() const noexcept { return complete_; }
    std::size_t left() const noexcept { return rest_.size(); }

private:
    std::string_view rest_;
    bool complete_ = true;
};

DecodeResult malformed(Reply& out, std::string problem) {
    out.problem = "binary response: " + std::move(problem);
    return {.status = DecodeStatus::malformed};
}

/// Empty when `number` is no Errc of this build.
std::optional<Errc> known_error(std::uint16_t number) noexcept {
    if (number > static_cast<std::uint16_t>(Errc::no_protocol)) return std::nullopt;
    return static_cast<Errc>(number);
}

/// Each item takes at least its length field, so a count cannot ask for more than arrived.
bool take_items(Fields& fields, std::size_t length_bytes, Reply& out) {
    const std::size_t count = fields.take<std::uint32_t>();
    if (!fields.complete() || count > fields.left() / length_bytes) return false;
    out.items.reserve(count);
    for (std::size_t i = 0; i < count; ++i) {
        const std::uint32_t bytes =
            length_bytes == 2 ? fields.take<std::uint16_t>() : fields.take<std::uint32_t>();
        if (length_bytes == 4 && bytes == absent_length) {
            out.items.emplace_back(std::nullopt);
        } else {
            out.items.emplace_back(fields.take_bytes(bytes));
        }
    }
    return fields.complete();
}

/// Returns what is missing, empty when nothing is.
std::string_view decode_extended(Fields fields, Reply& out) {
    const auto version = fields.take<std::uint8_t>();
    out.request_id = fields.take<std::uint64_t>();
    const auto outcome_number = fields.take<std::uint8_t>();
    const auto kind = fields.take<std::uint8_t>();
    if (!fields.complete()) return "truncated header";
    if (version != extended_version) return "unknown version";
    if (outcome_number > static_cast<std::uint8_t>(Outcome::applied)) return "unknown outcome";
    out.outcome = static_cast<Outcome>(outcome_number);
    out.kind = static_cast<Kind>(kind);
    switch (out.kind) {
        case Kind::ok:
        case Kind::absent: return {};
        case Kind::value: out.text = fields.take_rest(); return {};
        case Kind::integer:
            out.integer = fields.take<std::int64_t>();
            return fields.complete() ? "" : "truncated integer";
        case Kind::array: return take_items(fields, 4, out) ? "" : "truncated array";
        case Kind::error:
            out.error = known_error(fields.take<std::uint16_t>());
            out.text = fields.take_rest();
            return fields.complete() ? "" : "truncated error";
        case Kind::redirect:
            out.slot = fields.take<std::uint16_t>();
            out.text = fields.take_rest();
            return fields.complete() ? "" : "truncated redirect";
    }
    return "unknown kind";
}

std::string_view decode_text(Fields& fields, Reply& out, std::size_t length_bytes) {
    const std::uint32_t bytes =
        length_bytes == 2 ? fields.take<std::uint16_t>() : fields.take<std::uint32_t>();
    if (!fields.complete()) return "truncated length";
    out.text = fields.take_bytes(bytes);
    return fields.complete() ? "" : "truncated text";
}

}  // namespace

Status encode_request(std::string& out, Verb verb, std::span<const std::string_view> args) {
    const bool keyed = verb == Verb::get || verb == Verb::del || verb == Verb::set;
    if (!keyed && verb != Verb::ping && verb != Verb::keys) return fail(Errc::unsupported);
    const std::size_t args_expected = !keyed ? 0 : verb == Verb::set ? 2 : 1;
    if (args.size() != args_expected) return fail(Errc::wrong_arity);
    if (!keyed) {
        append_request_header(out, verb == Verb::ping ? Type::ping : Type::keys, 0);
        return {};
    }
    const std::string_view key = args[0];
    if (key.empty() || key.size() > 0xffff) return fail(Errc::key_size);
    std::size_t payload_bytes = 2 + key.size();
    if (verb == Verb::set) {
        if (args[1].size() > frame_payload_bytes_max - payload_bytes - 4) {
            return fail(Errc::value_size);
        }
        payload_bytes += 4 + args[1].size();
    }
    const Type type = verb == Verb::set ? Type::set : verb == Verb::get ? Type::get : Type::del;
    append_request_header(out, type, payload_bytes);
    append_be(out, static_cast<std::uint16_t>(key.size()));
    out.append(key);
    if (verb == Verb::set) {
        append_be(out, static_cast<std::uint32_t>(args[1].size()));
        out.append(args[1]);
    }
    return {};
}

Status encode_extended(std::string& out, Verb verb, std::span<const std::string_view> args,
                       const RequestTags& tags) {
    std::size_t payload_bytes = extended_request_bytes_min;
    for (const std::string_view arg : args) payload_bytes += 4 + arg.size();
    if (args.size() > 0xffff || payload_bytes > frame_payload_bytes_max) {
        return fail(Errc::too_large);
    }
    append_request_header(out, Type::extended, payload_bytes);
    out.push_back(static_cast<char>(extended_version));
    append_be(out, tags.request_id);
    append_be(out, tags.session);
    append_be(out, tags.sequence);
    out.push_back(static_cast<char>(verb));
    append_be(out, static_cast<std::uint16_t>(args.size()));
    for (const std::string_view arg : args) {
        append_be(out, static_cast<std::uint32_t>(arg.size()));
        out.append(arg);
    }
    return {};
}

DecodeResult decode_reply(std::string_view input, Reply& out, std::size_t payload_bytes_max) {
    if (input.size() < frame_header_bytes) {
        return {.status = DecodeStatus::need_more, .needed = frame_header_bytes};
    }
    const std::size_t payload_bytes = load_be<std::uint32_t>(input.data() + 1);
    if (payload_bytes > payload_bytes_max) return malformed(out, "payload is beyond the limit");
    const std::size_t frame_bytes = frame_header_bytes + payload_bytes;
    if (input.size() < frame_bytes) {
        return {.status = DecodeStatus::need_more, .needed = frame_bytes};
    }
    out.status = static_cast<ReplyStatus>(input[0]);
    out.outcome = Outcome::applied;
    out.request_id = 0;
    out.error.reset();
    out.text = {};
    out.items.clear();
    Fields fields(input.substr(frame_header_bytes, payload_bytes));
    const auto result = [&](Kind kind, std::string_view missing = {}) -> DecodeResult {
        if (!missing.empty()) return malformed(out, std::string(missing));
        out.kind = kind;
        return {.status = DecodeStatus::reply, .consumed = frame_bytes};
    };
    switch (out.status) {
        case ReplyStatus::ok:
        case ReplyStatus::deleted:
        case ReplyStatus::pong: return result(Kind::ok);
        case ReplyStatus::not_found: return result(Kind::absent);
        case ReplyStatus::value: return result(Kind::value, decode_text(fields, out, 4));
        case ReplyStatus::keys:
            return result(Kind::array, take_items(fields, 2, out) ? "" : "truncated keys");
        case ReplyStatus::error: {
            const std::string_view missing = decode_text(fields, out, 2);
            const bool unknown = out.text == sentence(Errc::commit_timeout);
            out.outcome = unknown ? Outcome::unknown : Outcome::not_applied;
            return result(Kind::error, missing);
        }
        case ReplyStatus::redirect:
            out.outcome = Outcome::not_applied;
            return result(Kind::redirect, decode_text(fields, out, 2));
        case ReplyStatus::extended: {
            const std::string_view missing = decode_extended(fields, out);
            return result(out.kind, missing);
        }
    }
    constexpr char digits[] = "0123456789abcdef";
    const auto status = static_cast<std::uint8_t>(input[0]);
    return malformed(out,
                     std::string("unknown status 0x") + digits[status >> 4] + digits[status & 15]);
}

}  // namespace kv::binary
