#include "tests/unit/node/session_script.h"

#include "proto/command.h"

namespace kv {

std::string big_endian(std::uint64_t number, int bytes) {
    std::string out;
    for (int i = bytes - 1; i >= 0; --i) out.push_back(static_cast<char>(number >> (8 * i)));
    return out;
}

namespace {
/// `<kind><number>\r\n`, the length lines of RESP.
std::string line(char kind, std::size_t number) {
    return std::string(1, kind).append(std::to_string(number)).append("\r\n");
}
}  // namespace

std::string resp_bulk(std::string_view bytes) {
    return line('$', bytes.size()).append(bytes).append("\r\n");
}
std::string resp_array(const std::vector<std::string_view>& words) {
    std::string out = line('*', words.size());
    for (const std::string_view word : words) out += resp_bulk(word);
    return out;
}

std::string frame(int type, std::string_view payload) {
    return std::string(1, static_cast<char>(type)) + big_endian(payload.size(), 4) +
           std::string(payload);
}
std::string set_frame(std::string_view key, std::string_view value) {
    return frame(1, big_endian(key.size(), 2) + std::string(key) + big_endian(value.size(), 4) +
                        std::string(value));
}
std::string key_frame(int type, std::string_view key) {
    return frame(type, big_endian(key.size(), 2) + std::string(key));
}
std::string value_frame(std::string_view value) {
    return frame(1, big_endian(value.size(), 4) + std::string(value));
}
std::string error_frame(std::string_view text) {
    return frame(0x10, big_endian(text.size(), 2) + std::string(text));
}
std::string extended_frame(std::uint64_t id, int opcode,
                           const std::vector<std::string_view>& args) {
    std::string payload =
        big_endian(1, 1) + big_endian(id, 8) + big_endian(0, 8) + big_endian(0, 8);
    payload += big_endian(static_cast<std::uint64_t>(opcode), 1) + big_endian(args.size(), 2);
    for (const std::string_view arg : args) {
        payload += big_endian(arg.size(), 4) + std::string(arg);
    }
    return frame(0x1f, payload);
}
std::string extended_reply(std::uint64_t id, int kind, std::string_view body) {
    return frame(0x1f, big_endian(1, 1) + big_endian(id, 8) + big_endian(2, 1) +
                           big_endian(static_cast<std::uint64_t>(kind), 1) + std::string(body));
}

namespace {

/// The words of one request, and what its answer means.
struct Step {
    Verb verb;
    std::vector<std::string> args;
    std::optional<std::string> value;                ///< get
    std::vector<std::optional<std::string>> values;  ///< mget
    std::uint64_t count = 0;                         ///< del, exists, dbsize
};

class Writer {
public:
    Writer(Family family, Prng& prng) : family_(family), prng_(prng) {}
    void add(const Step& step, Script& script) {
        switch (family_) {
            case Family::text: return add_text(step, script);
            case Family::binary: return add_binary(step, script);
            case Family::resp: return add_resp(step, script);
        }
    }

private:
    void add_text(const Step& step, Script& script);
    void add_binary(const Step& step, Script& script);
    void add_extended(const Step& step, Script& script);
    void add_resp(const Step& step, Script& script);

    Family family_;
    Prng& prng_;
    std::uint64_t id_ = 0;
};

void Writer::add_text(const Step& step, Script& script) {
    const std::string end = prng_.below(2) == 0 && !script.input.empty() ? "\r\n" : "\n";
    switch (step.verb) {
        case Verb::set:
            script.input += "SET " + step.args[0] + " " + step.args[1] + end;
            script.expected += "OK\n";
            return;
        case Verb::get:
            script.input += "GET " + step.args[0] + end;
            script.expected += step.value ? "VALUE " + *step.value + "\n" : "NOT_FOUND\n";
            return;
        case Verb::del:
            script.input += "DEL " + step.args[0] + end;
            script.expected += step.count != 0 ? "DELETED\n" : "NOT_FOUND\n";
            return;
        case Verb::keys:
            script.input += "KEYS" + end;
            script.expected += "KEYS";
            for (const auto& key : step.values) script.expected += " " + *key;
            script.expected += "\n";
            return;
        case Verb::add_server:
            script.input += "ADDSERVER 2 host 7001 6379" + end;
            script.expected += "ERROR ADDSERVER not available in standalone mode\n";
            return;
        case Verb::invalid:
            script.input += "set a b" + end;
            script.expected += "ERROR unknown command: set\n";
            return;
        default:
            script.input += "PING" + end;
            script.expected += "PONG\n";
            return;
    }
}

void Writer::add_binary(const Step& step, Script& script) {
    if (prng_.below(4) == 0) return add_extended(step, script);
    switch (step.verb) {
        case Verb::set:
            script.input += set_frame(step.args[0], step.args[1]);
            script.expected += frame(0, "");
            return;
        case Verb::get:
            script.input += key_frame(2, step.args[0]);
            script.expected += step.value ? value_frame(*step.value) : frame(2, "");
            return;
        case Verb::del:
            if (step.args.size() > 1) break;
            script.input += key_frame(3, step.args[0]);
            script.expected += step.count != 0 ? frame(3, "") : frame(2, "");
            return;
        case Verb::ping:
            script.input += frame(5, "ignored");
            script.expected += frame(5, "");
            return;
        case Verb::invalid:
            script.input += frame(0x17, "some payload");
            script.expected += error_frame("binary: unknown msg_type 0x17");
            return;
        default: break;
    }
    add_extended(step, script);
}

void Writer::add_extended(const Step& step, Script& script) {
    const std::uint64_t id = ++id_ * 0x0101010101;
    const std::vector<std::string_view> args(step.args.begin(), step.args.end());
    const int opcode = step.verb == Verb::invalid ? 200 : static_cast<int>(step.verb);
    script.input += extended_frame(id, opcode, args);
    const auto array = [&] {
        std::string body = big_endian(step.values.size(), 4);
        for (const auto& value : step.values) {
            body += value ? big_endian(value->size(), 4) + *value : "\xff\xff\xff\xff";
        }
        return body;
    };
    switch (step.verb) {
        case Verb::get:
            script.expected +=
                step.value ? extended_reply(id, 1, *step.value) : extended_reply(id, 2, "");
            return;
        case Verb::del:
        case Verb::exists:
        case Verb::dbsize:
            script.expected += extended_reply(id, 3, big_endian(step.count, 8));
            return;
        case Verb::mget:
        case Verb::keys: script.expected += extended_reply(id, 4, array()); return;
        case Verb::echo: script.expected += extended_reply(id, 1, step.args[0]); return;
        case Verb::add_server:
        case Verb::invalid: {
            const bool unknown = step.verb == Verb::invalid;
            const std::string text = unknown ? "extended frame: unknown opcode"
                                             : "ADDSERVER not available in standalone mode";
            const Errc code = unknown ? Errc::unknown_command : Errc::static_membership;
            std::string reply = big_endian(1, 1) + big_endian(id, 8) + big_endian(5, 2);
            reply += big_endian(static_cast<std::uint64_t>(code), 2) + text;
            script.expected += frame(0x1f, reply);
            return;
        }
        default: script.expected += extended_reply(id, 0, ""); return;
    }
}

void Writer::add_resp(const Step& step, Script& script) {
    const char* const names[] = {"",       "ping", "Echo", "GET",  "set",    "DEL",
                                 "exists", "MGET", "MSET", "keys", "DBSIZE", "flushall"};
    std::vector<std::string_view> words;
    if (step.verb == Verb::add_server) {
        words = {"addserver"};
    } else if (step.verb == Verb::invalid) {
        words = {"nosuch", "arg"};
    } else {
        words = {names[static_cast<int>(step.verb)]};
    }
    words.insert(words.end(), step.args.begin(), step.args.end());
    // Inline now and then, never first: it would decide the protocol.
    if (!script.input.empty() && prng_.below(4) == 0) {
        for (const std::string_view word : words) {
            script.input += (word.empty() ? "\"\"" : std::string(word)) + " ";
        }
        script.input += "\r\n";
    } else {
        script.input += resp_array(words);
    }
    switch (step.verb) {
        case Verb::ping: script.expected += "+PONG\r\n"; return;
        case Verb::echo: script.expected += resp_bulk(step.args[0]); return;
        case Verb::get: script.expected += step.value ? resp_bulk(*step.value) : "$-1\r\n"; return;
        case Verb::del:
        case Verb::exists:
        case Verb::dbsize: script.expected += line(':', step.count); return;
        case Verb::mget:
        case Verb::keys:
            script.expected += line('*', step.values.size());
            for (const auto& value : step.values) {
                script.expected += value ? resp_bulk(*value) : "$-1\r\n";
            }
            return;
        case Verb::add_server:
            script.expected += "-ERR ADDSERVER not available in standalone mode\r\n";
            return;
        case Verb::invalid:
            script.expected +=
                "-ERR unknown command 'nosuch', with args beginning with: 'arg' \r\n";
            return;
        default: script.expected += "+OK\r\n"; return;
    }
}

/// Draws requests and executes them on the map.
class Model {
public:
    Model(Prng& prng, std::string_view prefix, bool one_key_requests)
        : prng_(prng), prefix_(prefix), one_key_(one_key_requests) {}

    Step next() {
        const std::uint64_t what = prng_.below(1000);
        if (what < 350) return set();
        if (what < 700) return get();
        if (what < 780) return del();
        if (what < 830) return {.verb = Verb::ping};
        if (what < 850) return {.verb = Verb::invalid};
        if (what < 860) return keys();
        if (one_key_ || what < 870) {
            Step step{.verb = Verb::add_server};
            if (!one_key_) step.args = {"2", "host", "7001", "6379"};
            return step;
        }
        if (what < 900) return mset();
        if (what < 940) return mget();
        if (what < 960) return exists();
        if (what < 975) return {.verb = Verb::dbsize, .count = map_.size()};
        if (what < 990) return {.verb = Verb::echo, .args = {"hello" + std::to_string(what)}};
        map_.clear();
        return {.verb = Verb::flushall};
    }
    std::map<std::string, std::string> left() const { return map_; }

private:
    std::string key() { return prefix_ + std::to_string(prng_.below(12)); }
    std::string value() {
        const std::size_t bytes = prng_.below(50) == 0 ? 1500 : 40;
        return std::to_string(++written_) + std::string(prng_.below(bytes), 'v');
    }
    std::optional<std::string> find(const std::string& key) const {
        const auto found = map_.find(key);
        return found == map_.end() ? std::nullopt : std::optional(found->second);
    }
    Step set() {
        Step step{.verb = Verb::set, .args = {key(), value()}};
        map_[step.args[0]] = step.args[1];
        return step;
    }
    Step get() {
        Step step{.verb = Verb::get, .args = {key()}};
        step.value = find(step.args[0]);
        return step;
    }
    Step del() {
        Step step{.verb = Verb::del};
        for (std::uint64_t n = one_key_ ? 1 : prng_.between(1, 3); n > 0; --n) {
            step.args.push_back(key());
            step.count += map_.erase(step.args.back());
        }
        return step;
    }
    Step mset() {
        Step step{.verb = Verb::mset};
        for (std::uint64_t n = prng_.between(1, 5); n > 0; --n) {
            step.args.push_back(key());
            step.args.push_back(value());
            map_[step.args[step.args.size() - 2]] = step.args.back();
        }
        return step;
    }
    Step mget() {
        Step step{.verb = Verb::mget};
        for (std::uint64_t n = prng_.between(1, 6); n > 0; --n) {
            step.args.push_back(key());
            step.values.push_back(find(step.args.back()));
        }
        return step;
    }
    Step exists() {
        Step step{.verb = Verb::exists};
        for (std::uint64_t n = prng_.between(1, 4); n > 0; --n) {
            step.args.push_back(key());
            step.count += map_.contains(step.args.back()) ? 1 : 0;
        }
        return step;
    }
    /// Of a line: all keys, which come sorted. Else of one key, since there the order is open.
    Step keys() {
        Step step{.verb = Verb::keys};
        if (one_key_) {
            for (const auto& [key, value] : map_) step.values.emplace_back(key);
            return step;
        }
        step.args.push_back(key());
        if (map_.contains(step.args[0])) step.values.emplace_back(step.args[0]);
        return step;
    }

    Prng& prng_;
    std::string prefix_;
    bool one_key_;
    std::uint64_t written_ = 0;
    std::map<std::string, std::string> map_;
};

}  // namespace

Script random_script(Family family, std::uint64_t seed, std::size_t requests,
                     std::string_view prefix) {
    Prng prng = Prng::split(seed, "session");
    Script script;
    Model model(prng, prefix, family == Family::text);
    Writer writer(family, prng);
    for (std::size_t i = 0; i < requests; ++i) writer.add(model.next(), script);
    script.left = model.left();
    return script;
}

}  // namespace kv
