#include "tests/system/load.h"

#include <fmt/format.h>

#include <algorithm>

#include "proto/base/bytes.h"

namespace kv::test {

namespace {

constexpr std::size_t value_bytes_max = 300;

void append_be(std::string& out, std::uint64_t number, std::size_t bytes) {
    while (bytes-- > 0) out.push_back(static_cast<char>(number >> (8 * bytes)));
}

void append_bulk(std::string& out, std::string_view text) {
    fmt::format_to(std::back_inserter(out), "${}\r\n{}\r\n", text.size(), text);
}

std::string request(Speech speech, std::string_view verb, std::string_view key,
                    std::string_view value = {}) {
    std::string out;
    const bool has_value = verb == "SET";
    switch (speech) {
        case Speech::text:
            return fmt::format("{} {}{}{}\n", verb, key, has_value ? " " : "", value);
        case Speech::resp:
            out = has_value ? "*3\r\n" : "*2\r\n";
            append_bulk(out, verb);
            append_bulk(out, key);
            if (has_value) append_bulk(out, value);
            return out;
        case Speech::binary: break;
    }
    out.push_back(has_value ? '\1' : verb == "GET" ? '\2' : '\3');
    append_be(out, 2 + key.size() + (has_value ? 4 + value.size() : 0), 4);
    append_be(out, key.size(), 2);
    out.append(key);
    if (has_value) {
        append_be(out, value.size(), 4);
        out.append(value);
    }
    return out;
}

/// What an acknowledged write is answered with.
std::string expected(Speech speech, bool del, bool deletes_something) {
    switch (speech) {
        case Speech::text: return !del ? "OK\n" : deletes_something ? "DELETED\n" : "NOT_FOUND\n";
        case Speech::resp: return !del ? "+OK\r\n" : deletes_something ? ":1\r\n" : ":0\r\n";
        case Speech::binary: break;
    }
    std::string out(5, '\0');
    if (del) out[0] = deletes_something ? '\3' : '\2';
    return out;
}

}  // namespace

Writer::Writer(std::size_t number, Speech speech, std::uint64_t seed)
    : number_(number), speech_(speech), prng_(Prng::split(seed, "writer", number)) {}

std::string Writer::key_text(std::size_t key) const {
    return fmt::format("writer-{}-key-{}", number_, key);
}

/// Follows from the number alone, so that nothing but the number is kept.
std::string Writer::value_text(Value value) const {
    Prng prng(value);
    std::string text = fmt::format("{}/{}/", number_, value);
    const std::size_t bytes = text.size() + prng.below(value_bytes_max);
    while (text.size() < bytes) text.push_back(static_cast<char>('a' + prng.below(26)));
    return text;
}

void Writer::connect(std::uint16_t port) {
    wire_.emplace(port);
    if (!wire_->connected()) wire_.reset();
}

void Writer::make_request() {
    const std::size_t key = prng_.below(keys);
    std::deque<Value>& possible = keys_[key].possible;
    const bool del = prng_.chance(0.2);
    in_flight_.push_back({key, del, possible.back() != 0});
    possible.push_back(del ? 0 : ++sets_);
    unsent_ += del ? request(speech_, "DEL", key_text(key))
                   : request(speech_, "SET", key_text(key), value_text(sets_));
}

void Writer::send(std::size_t depth) {
    while (wire_) {
        while (in_flight_.size() < depth && unsent_.size() < 16 * 1024) make_request();
        if (unsent_.empty()) return;
        const long sent = wire_->send_some(unsent_);
        if (sent <= 0) return;  // full, or gone: receive() will tell
        unsent_.erase(0, static_cast<std::size_t>(sent));
    }
}

bool Writer::take_reply(std::string& reply) {
    std::size_t bytes = 0;
    if (speech_ == Speech::binary) {
        if (replies_.size() < 5) return false;
        bytes = 5 + load_be<std::uint32_t>(replies_.data() + 1);
    } else {
        bytes = replies_.find('\n') + 1;  // npos + 1 is 0
        if (bytes == 0) return false;
    }
    if (replies_.size() < bytes) return false;
    reply = replies_.substr(0, bytes);
    replies_.erase(0, bytes);
    return true;
}

void Writer::acknowledge(const std::string& reply) {
    if (in_flight_.empty()) {
        complaint_ = fmt::format("writer {}: a reply to nothing: {:?}", number_, reply);
        return;
    }
    const InFlight write = in_flight_.front();
    in_flight_.pop_front();
    keys_[write.key].possible.pop_front();
    ++acknowledged_;
    if (reply == expected(speech_, write.del, write.deletes_something)) return;
    complaint_ = fmt::format("writer {}: {} {} was answered {:?}", number_,
                             write.del ? "DEL" : "SET", key_text(write.key), reply);
}

bool Writer::receive() {
    if (!wire_) return false;
    const bool open = wire_->receive_some(replies_);
    std::string reply;
    while (take_reply(reply)) acknowledge(reply);
    return open;
}

void Writer::server_is_gone() {
    while (wire_ && receive()) {
    }
    wire_.reset();
    unsent_.clear();
    replies_.clear();
    in_flight_.clear();
}

std::string Writer::verify(std::uint16_t port) {
    Wire wire(port);
    for (std::size_t i = 0; i < keys; ++i) {
        const std::string text = wire.ask(request(Speech::text, "GET", key_text(i)));
        std::deque<Value>& possible = keys_[i].possible;
        const auto is_it = [&](Value value) {
            return text ==
                   (value == 0 ? "NOT_FOUND\n" : fmt::format("VALUE {}\n", value_text(value)));
        };
        const auto found = std::find_if(possible.rbegin(), possible.rend(), is_it);
        if (found == possible.rend()) {
            return fmt::format("{} holds {:?}; acknowledged is {:?}, {} later writes were sent",
                               key_text(i), text,
                               possible.front() == 0 ? "nothing" : value_text(possible.front()),
                               possible.size() - 1);
        }
        const Value value = *found;
        possible.assign(1, value);
    }
    return {};
}

std::size_t Writer::keys_present() const {
    const auto present = [](const Key& key) { return key.possible.front() != 0; };
    return static_cast<std::size_t>(std::count_if(keys_.begin(), keys_.end(), present));
}

}  // namespace kv::test
