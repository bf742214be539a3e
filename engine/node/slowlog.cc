#include "engine/node/slowlog.h"

#include <fmt/format.h>

#include <algorithm>

#include "proto/base/integer.h"
#include "proto/request_check.h"

namespace kv {

namespace {

constexpr std::size_t words_max = 32;
constexpr std::size_t word_bytes_max = 128;
constexpr std::int64_t shown_default = 10;

std::string cut(std::string_view word) {
    if (word.size() <= word_bytes_max) return std::string(word);
    return fmt::format("{}... ({} more bytes)", word.substr(0, word_bytes_max),
                       word.size() - word_bytes_max);
}

}  // namespace

void SlowLog::add(SlowCommand command, std::size_t entries_max, std::uint64_t core,
                  std::uint64_t cores) {
    command.id = added_++ * cores + core;
    entries_.push_back(std::move(command));
    while (entries_.size() > entries_max) entries_.pop_front();
}

std::vector<std::string> slow_words(Verb verb, Args args, std::size_t more) {
    std::vector<std::string> words;
    std::string_view name = command_name(verb);
    const std::size_t bar = name.find('|');
    words.emplace_back(name.substr(0, bar));
    if (bar != name.npos) words.emplace_back(name.substr(bar + 1));
    const std::size_t all = words.size() + args.size() + more;
    const std::size_t room = words_max - words.size();
    const std::size_t shown =
        all > words_max ? std::min(args.size(), room - 1) : std::min(args.size(), room);
    for (const std::string_view arg : args.first(shown)) words.push_back(cut(arg));
    const std::size_t left = args.size() - shown + more;
    if (left != 0) words.push_back(fmt::format("... ({} more arguments)", left));
    return words;
}

void keep_newest(std::vector<const SlowCommand*>& entries, std::size_t entries_max) {
    std::ranges::sort(entries, [](const SlowCommand* a, const SlowCommand* b) {
        return a->unix_s != b->unix_s ? a->unix_s > b->unix_s : a->id > b->id;
    });
    entries.resize(std::min(entries.size(), entries_max));
}

void answer_slowlog(Args args, std::vector<const SlowCommand*> entries, ReplyWriter& reply) {
    std::int64_t count = shown_default;
    if (args.size() > 1) {
        return reply.error(Errc::syntax,
                           "unknown subcommand or wrong number of arguments for 'get'. Try SLOWLOG "
                           "HELP.");
    }
    if (!args.empty()) {
        const auto given = parse_integer(args[0]);
        if (!given || *given < -1) {
            return reply.error(Errc::syntax, "count should be greater than or equal to -1");
        }
        count = *given;
    }
    if (count >= 0) entries.resize(std::min(entries.size(), static_cast<std::size_t>(count)));
    reply.compose([&](resp::Writer& out) {
        out.array(entries.size());
        for (const SlowCommand* entry : entries) {
            out.array(6);
            out.integer(static_cast<std::int64_t>(entry->id));
            out.integer(entry->unix_s);
            out.integer(entry->took_us);
            out.array(entry->words.size());
            for (const std::string& word : entry->words) out.bulk(word);
            out.bulk(entry->client);
            out.bulk(entry->client_name);
        }
    });
}

}  // namespace kv
