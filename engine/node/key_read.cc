#include "engine/node/key_read.h"

#include <algorithm>

#include "proto/base/integer.h"
#include "proto/base/units.h"
#include "proto/command_table.h"

namespace kv {

namespace {

constexpr std::size_t embedded_bytes_max = 44;  // where Redis begins to say "raw"

bool is_range(Verb verb) noexcept {
    return verb == Verb::getrange || verb == Verb::substr;
}

std::string_view encoding_of(std::string_view value) noexcept {
    if (parse_integer(value)) return "int";
    return value.size() <= embedded_bytes_max ? "embstr" : "raw";
}

/// Of the slab, whose classes are 8 bytes apart, and one reference in the index.
std::int64_t memory_of(std::string_view key, std::string_view value) noexcept {
    constexpr std::size_t class_bytes = 8;
    constexpr std::size_t reference_bytes = 8;
    const std::size_t block = round_up(block_bytes(key.size(), value.size()), class_bytes);
    return static_cast<std::int64_t>(block + reference_bytes);
}

/// Bytes `first` to `last`, both included; negative ones count from the end.
std::string_view range_of(std::string_view value, std::int64_t first, std::int64_t last) noexcept {
    const auto size = static_cast<std::int64_t>(value.size());
    if (first < 0 && last < 0 && first > last) return {};
    if (first < 0) first = std::max<std::int64_t>(first + size, 0);
    if (last < 0) last = std::max<std::int64_t>(last + size, 0);
    last = std::min(last, size - 1);
    if (first > last) return {};
    return value.substr(static_cast<std::size_t>(first),
                        static_cast<std::size_t>(last - first + 1));
}

void answer_range(const Request& request, std::string_view value, ReplyWriter& reply) {
    const std::int64_t first = parse_integer(request.args[1]).value_or(0);
    const std::int64_t last = parse_integer(request.args[2]).value_or(0);
    reply.bulk(range_of(value, first, last));
}

}  // namespace

bool is_key_read(const Request& request) noexcept {
    if (command_class(request.verb) == CommandClass::key_read) return true;
    return (request.verb == Verb::exists || request.verb == Verb::touch) &&
           request.args.size() == 1;
}

bool needs_value(Verb verb) noexcept {
    switch (verb) {
        case Verb::get:
        case Verb::getex:
        case Verb::mget:
        case Verb::strlen:
        case Verb::getrange:
        case Verb::substr:
        case Verb::memory_usage:
        case Verb::object_encoding: return true;
        default: return false;
    }
}

void answer_key_read(const Request& request, const std::optional<Store::Found>& found,
                     ReplyWriter& reply) {
    switch (request.verb) {
        case Verb::get:
        case Verb::getex: return found ? reply.value(found->value) : reply.absent();
        case Verb::exists:
        case Verb::touch: return reply.integer(found ? 1 : 0);
        case Verb::type: return reply.simple(found ? "string" : "none");
        case Verb::strlen:
            return reply.integer(found ? static_cast<std::int64_t>(found->value.size()) : 0);
        case Verb::getrange:
        case Verb::substr: return answer_range(request, found ? found->value : "", reply);
        case Verb::ttl:
        case Verb::pttl:
        case Verb::expiretime:
        case Verb::pexpiretime: return reply.integer(found ? -1 : -2);  // no key has an end
        case Verb::persist: return reply.integer(0);
        default: break;
    }
    if (!found) return reply.absent();
    switch (request.verb) {
        case Verb::revision:
            return reply.integer(static_cast<std::int64_t>(found->revision.value()));
        case Verb::memory_usage: return reply.integer(memory_of(request.args[0], found->value));
        case Verb::object_encoding: return reply.bulk(encoding_of(found->value));
        case Verb::object_refcount: return reply.integer(1);
        case Verb::object_freq:
            return reply.error(Errc::unsupported,
                               "An LFU maxmemory policy is not selected, access frequency not "
                               "tracked. Please note that when switching between policies at "
                               "runtime LRU and LFU data will take some time to adjust.");
        case Verb::object_idletime:
            return reply.error(Errc::unsupported, "idle time is not tracked: keys are not evicted");
        default: break;
    }
    KV_UNREACHABLE("verb {}", static_cast<unsigned>(request.verb));
}

void keep_key_read(const Request& request, std::string& out) {
    out.clear();
    // The numbers have been checked: no space is in them.
    if (is_range(request.verb)) {
        out.append(request.args[1]).append(" ").append(request.args[2]).append(" ");
    }
    out.append(request.args[0]);
}

std::span<const std::string_view> restore_key_read(
    Verb verb, std::string_view kept, std::array<std::string_view, key_read_args_max>& args) {
    const std::size_t numbers = is_range(verb) ? 2 : 0;
    for (std::size_t i = 1; i <= numbers; ++i) {
        const std::size_t space = kept.find(' ');
        args[i] = kept.substr(0, space);
        kept.remove_prefix(space + 1);
    }
    args[0] = kept;
    return std::span(args).first(1 + numbers);
}

}  // namespace kv
