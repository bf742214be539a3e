#include "bin/client/request.h"

#include <algorithm>
#include <array>
#include <limits>
#include <vector>

#include "proto/binary/binary_client.h"
#include "proto/request_check.h"
#include "proto/resp/resp_client.h"
#include "proto/resp/resp_codec.h"
#include "proto/resp/resp_commands.h"
#include "proto/text/text_codec.h"

namespace kv::client {

namespace {

/// What the formats hold; the server knows its own limits and says so.
constexpr RequestLimits wire_limits{
    .value_bytes_max = std::size_t{1} << 31,
    .inline_bytes_max = std::size_t{1} << 31,
    .request_bytes_max = std::size_t{1} << 31,
};

using Words = std::span<const std::string_view>;

std::string join(Words words) {
    std::string line;
    for (const std::string_view word : words) {
        if (!line.empty()) line.push_back(' ');
        line.append(word);
    }
    return line;
}

Result<std::string> encode_text(Words words) {
    for (std::size_t i = 0; i < words.size(); ++i) {
        if (words[i].find('\n') != std::string_view::npos) {
            return fail(Errc::syntax,
                        "the text protocol cannot carry a line end: use --binary "
                        "or --resp");
        }
        const bool is_key = i == 1 && words[0] != "ADDSERVER" && words[0] != "REMOVESERVER";
        if (is_key && words[i].find(' ') != std::string_view::npos) {
            return fail(Errc::syntax,
                        "the text protocol cannot carry a key with a space: use "
                        "--binary or --resp");
        }
    }
    return join(words) + "\n";
}

/// A plain frame when there is one for it.
Result<std::string> encode_binary(const Request& request, std::uint64_t request_id) {
    std::string out;
    const Status plain = binary::encode_request(out, request.verb, request.args);
    if (plain) return out;
    const bool extended =
        plain.error().code == Errc::unsupported || plain.error().code == Errc::wrong_arity;
    if (!extended) return fail(plain.error());
    KV_CHECK(binary::encode_extended(out, request.verb, request.args, {.request_id = request_id}));
    return out;
}

Error refusal(const Request& request) {
    return {request.error, request.error_text};
}

/// A client that waits for the reply to each command would wait for ever.
bool silences(Words words) noexcept {
    return words.size() == 3 && equals_ignoring_case(words[0], "CLIENT") &&
           equals_ignoring_case(words[1], "REPLY") && !equals_ignoring_case(words[2], "ON");
}

Error silenced() {
    return {Errc::syntax, "every command is to be answered: CLIENT REPLY can only be ON here"};
}

Result<std::string> encode_binary_words(Words words, std::uint64_t request_id) {
    Request request;
    if (words.size() == 1 && words[0] == "KEYS") {
        request.verb = Verb::keys;
        return encode_binary(request, request_id);
    }
    if (silences(words)) return fail(silenced());
    // `kv-cli -b SET greeting hello world`: a shell has taken the line apart.
    std::string value;
    std::array<std::string_view, 3> set{};
    if (words.size() > 3 && words[0] == "SET") {
        value = join(words.subspan(2));
        set = {words[0], words[1], value};
        words = set;
    }
    resp::resolve_command(words, wire_limits, request);
    if (request.verb == Verb::invalid) return fail(refusal(request));
    return encode_binary(request, request_id);
}

Result<std::string> encode_binary_line(std::string_view line, std::uint64_t request_id) {
    const std::string ended = std::string(line) + "\n";
    text::TextParser parser(wire_limits);
    Request request;
    parser.next(ended, request);
    if (request.verb != Verb::invalid) return encode_binary(request, request_id);
    if (request.error != Errc::unknown_command) return fail(refusal(request));
    std::string storage;
    std::vector<std::string_view> words;
    Request other;
    if (resp::split_inline(line, storage, words) && !words.empty()) {
        if (silences(words)) return fail(silenced());
        resp::resolve_command(words, wire_limits, other);
        if (other.verb != Verb::invalid) return encode_binary(other, request_id);
        if (other.error != Errc::unknown_command) return fail(refusal(other));
    }
    return fail(refusal(request));
}

/// Words that may follow `SET key value` in RESP, here and in Redis: one that is missing would be
/// written as part of the value, and a condition would not be checked.
bool is_set_option(std::string_view word) noexcept {
    constexpr std::array options{"EX",    "PX",   "EXAT",  "PXAT",  "NX",  "XX",     "IFEQ",
                                 "IFREV", "IFNE", "IFDEQ", "IFDNE", "GET", "KEEPTTL"};
    return std::ranges::any_of(
        options, [&](std::string_view option) { return equals_ignoring_case(word, option); });
}

/// KEYS alone means all of them, as in the other protocols; RESP servers want a pattern.
Result<std::string> encode_resp_words(Words words) {
    if (silences(words)) return fail(silenced());
    constexpr std::array<std::string_view, 2> all_keys{"KEYS", "*"};
    std::string out;
    resp::encode_command(out, words.size() == 1 && words[0] == "KEYS" ? Words(all_keys) : words);
    return out;
}

Result<std::string> encode_resp_line(std::string_view line) {
    std::string storage;
    std::vector<std::string_view> words;
    if (!resp::split_inline(line, storage, words)) {
        return fail(Errc::syntax, "Invalid argument(s): unbalanced quotes");
    }
    if (words.empty()) return fail(Errc::syntax, "empty command");
    const bool quoted = line.find_first_of("\"'") != std::string_view::npos;
    if (words.size() > 3 && words[0] == "SET" && !quoted && !is_set_option(words[3])) {
        const std::string ended = std::string(line) + "\n";
        text::TextParser parser(wire_limits);
        Request request;
        parser.next(ended, request);
        if (request.verb == Verb::set) {
            std::string out;
            const std::array<std::string_view, 3> set{"SET", request.args[0], request.args[1]};
            resp::encode_command(out, set);
            return out;
        }
    }
    return encode_resp_words(words);
}

}  // namespace

Result<std::string> encode_words(Mode mode, Words words, std::uint64_t request_id) {
    if (words.empty()) return fail(Errc::syntax, "empty command");
    switch (mode) {
        case Mode::text: return encode_text(words);
        case Mode::binary: return encode_binary_words(words, request_id);
        case Mode::resp: return encode_resp_words(words);
    }
    KV_UNREACHABLE("three modes");
}

Result<std::string> encode_line(Mode mode, std::string_view line, std::uint64_t request_id) {
    switch (mode) {
        case Mode::text: return std::string(line) + "\n";
        case Mode::binary: return encode_binary_line(line, request_id);
        case Mode::resp: return encode_resp_line(line);
    }
    KV_UNREACHABLE("three modes");
}

}  // namespace kv::client
