// Requests of a Connection about the whole node: INFO, CLIENT LIST and KILL, CONFIG SET, SLOWLOG,
// BGSAVE. Jobs as those of connection_jobs.cc: each visits the cores one after the other, and each
// core reads or changes only what is its own (Services).

#include <algorithm>
#include <utility>

#include "engine/node/connection.h"
#include "engine/node/info.h"
#include "engine/node/runtime_config.h"
#include "io/call.h"
#include "proto/base/log.h"
#include "proto/request_check.h"

namespace kv {

namespace {

std::vector<std::string_view> views_of(const std::vector<std::string>& words) {
    return {words.begin(), words.end()};
}

}  // namespace

/// Commands of class node that visit every core.
bool Connection::concerns_all_cores(Verb verb) noexcept {
    switch (verb) {
        case Verb::bgsave:
        case Verb::client_kill:
        case Verb::client_list:
        case Verb::config_resetstat:
        case Verb::config_set:
        case Verb::info:
        case Verb::lastsave:
        case Verb::role:
        case Verb::slowlog_get:
        case Verb::slowlog_len:
        case Verb::slowlog_reset: return true;
        default: return false;
    }
}

/// Calls visit(services of the core) on each core. `visit` outlives the call.
template <typename Visit>
io::Task<void> Connection::visit_cores(Visit* visit) {
    for (std::size_t i = 0; i < services_.of_core.size(); ++i) {
        const CoreId core(static_cast<std::uint16_t>(i));
        auto there = [&](io::Reactor&) { (*visit)(services_.on(core)); };
        co_await io::call_on(services_.reactor, core, there);
    }
}

io::Task<void> Connection::run_node_job(const Job& job, std::string& out) {
    ReplyWriter reply(job.protocol, job.request_id, out);
    switch (job.verb) {
        case Verb::client_list: co_return co_await list_clients(job, out);
        case Verb::client_kill: co_return co_await kill_clients(job, out);
        case Verb::config_set: co_return co_await set_settings(job, out);
        case Verb::bgsave: co_return co_await take_snapshots(job, out);
        case Verb::config_resetstat: {
            auto reset = [](Services& there) { there.reset_statistics(); };
            co_await visit_cores(&reset);
            co_return reply.ok();
        }
        case Verb::slowlog_reset: {
            auto clear = [](Services& there) { there.slowlog.clear(); };
            co_await visit_cores(&clear);
            co_return reply.ok();
        }
        case Verb::slowlog_get:
        case Verb::slowlog_len: co_return co_await answer_slow_commands(job, out);
        default: break;
    }
    const std::vector<CoreFacts> cores = co_await gather_facts();
    const NodeFacts node = services_.node_facts();
    if (job.verb == Verb::lastsave) co_return reply.integer(last_save_s(node.server, cores));
    if (job.verb == Verb::info) {
        const std::vector<std::string_view> sections = views_of(job.args);
        co_return reply.verbatim(render_info(node, cores, sections));
    }
    KV_ASSERT(job.verb == Verb::role);
    std::uint64_t offset = 0;
    for (const CoreFacts& core : cores) offset += core.wal.batches;
    reply.compose([&](resp::Writer& writer) {
        writer.array(3);
        writer.bulk("master");
        writer.integer(static_cast<std::int64_t>(offset));
        writer.array(0);
    });
}

io::Task<std::vector<CoreFacts>> Connection::gather_facts() {
    std::vector<CoreFacts> cores;
    auto gather = [&](Services& there) { cores.push_back(there.core_facts()); };
    co_await visit_cores(&gather);
    co_return cores;
}

io::Task<void> Connection::list_clients(const Job& job, std::string& out) {
    ReplyWriter reply(job.protocol, job.request_id, out);
    const auto filter = parse_client_list(views_of(job.args));
    if (!filter) co_return reply.error(filter.error().code, filter.error().text());
    std::vector<ClientInfo> clients;
    auto list = [&](Services& there) { there.list_clients(*filter, clients); };
    co_await visit_cores(&list);
    std::ranges::sort(clients, {}, &ClientInfo::id);
    std::string lines;
    for (const ClientInfo& client : clients) lines += client_line(client);
    reply.verbatim(lines);
}

io::Task<void> Connection::kill_clients(const Job& job, std::string& out) {
    ReplyWriter reply(job.protocol, job.request_id, out);
    const auto filter = parse_client_kill(views_of(job.args));
    if (!filter) co_return reply.error(filter.error().code, filter.error().text());
    const bool myself = filter->matches(info(services_.reactor.now()), session_.id);
    std::int64_t killed = 0;
    auto kill = [&](Services& there) { killed += there.kill_clients(*filter, *this, session_.id); };
    co_await visit_cores(&kill);
    if (!filter->old_form) {
        reply.integer(killed);
    } else if (killed != 0) {
        reply.ok();
    } else {
        reply.error(Errc::not_found, "No such client");
    }
    if (myself) finish();  // with this reply
}

/// The first core decides and hands it on, in the same order to each: two clients that change the
/// same setting leave all cores with the same value.
io::Task<void> Connection::set_settings(const Job& job, std::string& out) {
    ReplyWriter reply(job.protocol, job.request_id, out);
    const std::vector<std::string_view> pairs = views_of(job.args);
    if (pairs.size() % 2 != 0) {
        co_return reply.error(Errc::syntax);
    }
    Result<Config> changed = fail(Errc::canceled);
    auto change = [&](io::Reactor& first) -> io::Task<void> {
        changed = changed_config(services_.on(first.core()).settings, pairs);
        if (!changed) co_return;
        for (std::size_t i = 0; i < services_.of_core.size(); ++i) {
            const CoreId core(static_cast<std::uint16_t>(i));
            auto apply = [&](io::Reactor&) { services_.on(core).apply_settings(*changed); };
            co_await io::call_on(first, core, apply);
        }
    };
    co_await io::call_on(services_.reactor, CoreId(0), change);
    if (!changed) co_return reply.error(changed.error().code, changed.error().text());
    for (std::size_t at = 0; at < pairs.size(); at += 2) {
        log::info("a client changed a setting", log::field("name", pairs[at]),
                  log::field("value", pairs[at + 1]));
    }
    reply.ok();
}

io::Task<void> Connection::answer_slow_commands(const Job& job, std::string& out) {
    std::vector<SlowCommand> commands;
    auto copy = [&](Services& there) {
        const auto& entries = there.slowlog.entries();
        commands.insert(commands.end(), entries.begin(), entries.end());
    };
    co_await visit_cores(&copy);
    // The bound of each core is that of the node: only the newest of all count.
    ReplyWriter reply(job.protocol, job.request_id, out);
    std::vector<const SlowCommand*> entries;
    for (const SlowCommand& command : commands) entries.push_back(&command);
    keep_newest(entries, services_.config.slowlog.entries_max);
    if (job.verb == Verb::slowlog_len) {
        co_return reply.integer(static_cast<std::int64_t>(entries.size()));
    }
    const std::vector<std::string_view> args = views_of(job.args);
    answer_slowlog(args, std::move(entries), reply);
}

io::Task<void> Connection::take_snapshots(const Job& job, std::string& out) {
    ReplyWriter reply(job.protocol, job.request_id, out);
    const bool scheduled = !job.args.empty();
    if (scheduled && (job.args.size() > 1 || !equals_ignoring_case(job.args[0], "schedule"))) {
        co_return reply.error(Errc::syntax);
    }
    bool begun = false;
    auto ask = [&](Services& there) { begun |= there.replicas.take_snapshots(); };
    co_await visit_cores(&ask);
    if (!begun && !scheduled) {
        co_return reply.error(Errc::busy, "Background save already in progress");
    }
    reply.simple(begun ? "Background saving started" : "Background saving scheduled");
}

}  // namespace kv
