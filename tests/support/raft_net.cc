#include "tests/support/raft_net.h"

#include <fmt/format.h>

#include "proto/base/checksum.h"

namespace kv::consensus {

namespace {
const GroupId group(7);
constexpr Duration tick_interval = 10ms;

template <typename... Cases>
struct Overloaded : Cases... {
    using Cases::operator()...;
};

std::string sealed(std::string payload, Term term, Index index, EntryKind kind) {
    std::string entry(entry_header_bytes, '\0');
    entry += payload;
    seal_entry({reinterpret_cast<std::byte*>(entry.data()), entry.size()}, group, term, index, 0,
               kind);
    return entry;
}
}  // namespace

RaftNet::RaftNet(NetOptions options) : options_(options), nodes_(options.nodes + options.learners) {
    for (std::size_t i = 1; i <= nodes_.size(); ++i) {
        Member member;
        member.node = NodeId(i);
        member.roles = i <= options.nodes ? role_voter : role_learner;
        if (i == 1 && options.first_role != 0) member.roles = options.first_role;
        member.host = "h";
        configuration_.members.push_back(std::move(member));
    }
    for (Node& node : nodes_) boot(node);
}

void RaftNet::boot(Node& node) {
    RaftOptions options = options_.raft;
    options.group = group;
    options.self = NodeId(id(node));
    options.boot = ++node.boot;
    options.seed = options_.seed * 1000 + id(node) * 100 + node.boot;
    node.raft = std::make_unique<Raft>(options);
    node.effects.clear();
    node.confirmed = {};
    node.asked.clear();
    node.applied = node.snapshot.applied;
    node.applied_time_ms = node.snapshot.time_ms;
    node.applied_configuration = node.snapshot.configuration;
    if (node.snapshot.position.index.value() != 0) {
        node.raft->restore(node.snapshot.position, node.snapshot.time_ms,
                           node.snapshot.configuration);
    }
    for (const Record& record : node.log) {
        const Status status =
            std::visit(Overloaded{[&](const HardState& state) { return node.raft->recover(state); },
                                  [&](const std::string& entry) {
                                      return node.raft->recover(view_entry(as_bytes(entry)));
                                  },
                                  [&](LogPosition reset) { return node.raft->recover(reset); },
                                  [&](const Install&) { return Status(); }},
                       record);
        if (!status) blame(node, status.error().text());
        apply(node);
    }
    const Status status = node.raft->start(configuration_, now_, node.effects);
    if (!status) blame(node, status.error().text());
    turn(id(node));
}

// --- scenes --------------------------------------------------------------------------------------

void RaftNet::pass(Duration time) {
    for (Duration passed = 0ms; passed < time; passed += tick_interval) {
        now_ += tick_interval;
        for (Node& node : nodes_) {
            if (node.raft) tick(id(node));
        }
    }
}

void RaftNet::settle() {
    for (std::size_t i = 0; i < 100'000 && !packets_.empty(); ++i) deliver(0);
    if (!packets_.empty()) fault = "messages without end";
}

void RaftNet::run(Duration time) {
    for (Duration passed = 0ms; passed < time; passed += tick_interval) {
        pass(tick_interval);
        settle();
    }
}

void RaftNet::campaign(std::uint64_t to) {
    // As if its leader had asked for it: that is past everything that would hold it back.
    Raft& raft = at(to);
    Message append{group, NodeId(99), NodeId(to), raft.term(), 1, 1, TimeoutNow{}};
    if (raft.leader().value() != 0) {
        append.from = raft.leader();
        step({append, {}, 0});
        return;
    }
    const Instant until = now_ + 2s;
    while (now_ < until && raft.role() != Role::candidate && raft.role() != Role::leader) {
        now_ += tick_interval;
        tick(to);
        for (std::size_t i = 0; i < packets_.size();) {
            const auto* vote = std::get_if<VoteRequest>(&packets_[i].message.body);
            const auto* reply = std::get_if<VoteReply>(&packets_[i].message.body);
            if ((vote != nullptr && vote->pre) || (reply != nullptr && reply->pre)) {
                deliver(i);
            } else {
                ++i;
            }
        }
    }
}

bool RaftNet::elect(std::uint64_t to) {
    campaign(to);
    settle();
    return at(to).role() == Role::leader;
}

bool RaftNet::propose(std::uint64_t to, std::string_view text) {
    if (at(to).refusal(text.size())) return false;
    input(node(to), [&](Raft& raft, Effects&) {
        std::string entry = raft.take_buffer();
        entry.append(text);
        raft.propose(std::move(entry), EntryKind::commands, 1);
    });
    turn(to);
    return true;
}

bool RaftNet::propose_and_settle(std::uint64_t to, std::string_view text) {
    const bool taken = propose(to, text);
    settle();
    return taken;
}

std::uint64_t RaftNet::read(std::uint64_t to) {
    std::uint64_t round = 0;
    input(node(to), [&](Raft& raft, Effects&) { round = raft.request_read(); });
    if (round != 0) node(to).asked[round] = committed();
    turn(to);
    return round;
}

void RaftNet::turn(std::uint64_t to) {
    Node& node = this->node(to);
    for (int i = 0; i < 8; ++i) {  // a disk that answers at once begins another turn
        input(node, [&](Raft& raft, Effects& effects) { raft.flush(now_, effects); });
        carry_out(node);
        if (node.disk_held || !options_.instant_disk || node.writes.empty()) return;
        persist_all(to);
    }
}

void RaftNet::step(const Packet& packet) {
    const std::uint64_t to = packet.message.to.value();
    if (to == 0 || to > nodes_.size() || !up(to)) return;
    Message message = packet.message;
    if (auto* append = std::get_if<AppendRequest>(&message.body)) {
        append->entries.clear();
        for (const std::string& entry : packet.entries) append->entries.push_back(as_bytes(entry));
    }
    input(node(to), [&](Raft& raft, Effects& effects) { raft.step(message, now_, effects); });
    turn(to);
}

void RaftNet::tick(std::uint64_t to) {
    input(node(to), [&](Raft& raft, Effects& effects) { raft.tick(now_, effects); });
    turn(to);
}

bool RaftNet::transfer(std::uint64_t from, std::uint64_t to) {
    bool begun = false;
    input(node(from), [&](Raft& raft, Effects&) { begun = raft.transfer(NodeId(to), now_); });
    turn(from);
    return begun;
}

void RaftNet::stall(std::uint64_t to, bool stalled) {
    input(node(to), [&](Raft& raft, Effects&) { raft.set_disk_stalled(stalled, now_); });
    turn(to);
}

void RaftNet::snapshot(std::uint64_t of) {
    Node& node = this->node(of);
    const Index index = node.raft->applied_index();
    // A mark is written behind what it covers, and an installed snapshot is not durable yet.
    if (index <= node.snapshot.position.index || node.pending || !node.writes.empty()) return;
    node.snapshot = {{node.raft->term_at(index), index},
                     node.applied_time_ms,
                     node.applied_configuration,
                     node.applied};
    // What the log on disk still holds of it is released now and then.
    if (index.value() % 2 == 0) release(node);
    node.entries.erase(node.entries.begin(), node.entries.upper_bound(index));
    input(node, [&](Raft& raft, Effects&) { raft.compacted(node.snapshot.position); });
}

/// Gives up the front of the log, as far as the snapshot holds it; the hard state is kept.
void RaftNet::release(Node& node) {
    std::size_t released = 0;
    std::optional<HardState> state;
    for (const Record& record : node.log) {
        const auto* entry = std::get_if<std::string>(&record);
        if (entry != nullptr && view_entry(as_bytes(*entry)).index > node.snapshot.position.index) {
            break;
        }
        if (const auto* hard = std::get_if<HardState>(&record)) state = *hard;
        ++released;
    }
    if (released == 0) return;
    node.log.erase(node.log.begin(), node.log.begin() + static_cast<std::ptrdiff_t>(released));
    if (state) node.log.insert(node.log.begin(), *state);
}

// --- the network ---------------------------------------------------------------------------------

void RaftNet::deliver(std::size_t position, bool duplicated) {
    const Packet packet = packets_[position];
    if (!duplicated) packets_.erase(packets_.begin() + static_cast<std::ptrdiff_t>(position));
    const bool arrives = !cut_.contains({packet.message.from.value(), packet.message.to.value()}) &&
                         packet.message.to.value() <= nodes_.size() &&
                         up(packet.message.to.value());
    if (arrives) step(packet);
    end_snapshot(packet.message, arrives);
}

void RaftNet::drop(std::size_t position) {
    const Message message = packets_[position].message;
    packets_.erase(packets_.begin() + static_cast<std::ptrdiff_t>(position));
    end_snapshot(message, false);
}

/// The transfer of a snapshot ends with its request: its bytes arrive with it, or not at all.
void RaftNet::end_snapshot(const Message& request, bool arrived) {
    const std::uint64_t from = request.from.value();
    if (!std::holds_alternative<SnapshotRequest>(request.body) || !up(from)) return;
    input(node(from), [&](Raft& raft, Effects&) { raft.snapshot_sent(request, arrived, now_); });
}

void RaftNet::drop_between(std::uint64_t from, std::uint64_t to) {
    std::erase_if(packets_, [&](const Packet& packet) {
        return packet.message.from == NodeId(from) && packet.message.to == NodeId(to);
    });
}

void RaftNet::disconnect(std::uint64_t of, std::uint64_t peer) {
    if (up(of)) input(node(of), [&](Raft& raft, Effects&) { raft.disconnected(NodeId(peer)); });
}

void RaftNet::isolate(std::uint64_t node) {
    for (std::uint64_t other = 1; other <= nodes_.size(); ++other) {
        if (other == node) continue;
        cut(node, other);
        cut(other, node);
    }
}

void RaftNet::send(Node& node, Message message) {
    check_sent(node, message);
    note_asked(node, message);
    Packet packet{std::move(message), {}, ++packet_number_};
    if (auto* append = std::get_if<AppendRequest>(&packet.message.body)) {
        for (const Bytes entry : append->entries) packet.entries.emplace_back(as_text(entry));
        append->entries.clear();
    }
    packets_.push_back(std::move(packet));
}

// --- disks and processes -------------------------------------------------------------------------

void RaftNet::hold_disk(std::uint64_t of, bool held) {
    node(of).disk_held = held;
    if (!held) persist_all(of);
}

bool RaftNet::persist(std::uint64_t of) {
    Node& node = this->node(of);
    if (!node.raft || node.writes.empty()) return false;
    const Write write = std::move(node.writes.front());
    node.writes.pop_front();
    for (const Record& record : write.records) make_durable(node, record);
    input(node, [&](Raft& raft, Effects& effects) { raft.persisted(write.mark, now_, effects); });
    input(node, [&](Raft& raft, Effects& effects) { raft.flush(now_, effects); });
    carry_out(node);
    return true;
}

void RaftNet::instant_disks() {
    options_.instant_disk = options_.instant_snapshots = true;
    for (Node& node : nodes_) {
        hold_disk(id(node), false);
        node.offers.clear();
    }
}

void RaftNet::persist_all(std::uint64_t of) {
    while (persist(of)) {
    }
}

std::size_t RaftNet::records_pending(std::uint64_t of) const {
    std::size_t records = 0;
    for (const Write& write : nodes_[of - 1].writes) records += write.records.size();
    return records;
}

void RaftNet::crash(std::uint64_t of, std::size_t kept) {
    Node& node = this->node(of);
    node.raft.reset();
    for (const Write& write : node.writes) {
        for (const Record& record : write.records) {
            if (kept == 0) break;
            --kept;
            make_durable(node, record);
        }
    }
    node.writes.clear();
    node.pending.reset();
    node.offers.clear();
}

void RaftNet::rewrite(std::uint64_t of, Term term, const std::vector<Term>& terms) {
    crash(of);
    Node& node = this->node(of);
    node.log.clear();
    node.entries.clear();
    make_durable(node, HardState{term, {}, {}});
    Term before;
    for (std::size_t at = 0; at < terms.size(); ++at) {
        const Index index(at + 1);
        std::string payload = fmt::format("{}.{}", index.value(), terms[at].value());
        if (at == 0) {
            payload.clear();
            encode_configuration(configuration_, payload);
        }
        const EntryKind kind = at == 0 ? EntryKind::configuration : EntryKind::commands;
        const std::string bytes = sealed(std::move(payload), terms[at], index, kind);
        note_written(node, view_entry(as_bytes(bytes)), before);
        make_durable(node, bytes);
        before = terms[at];
    }
    restart(of);
}

void RaftNet::restart(std::uint64_t of) {
    if (up(of)) crash(of);
    boot(node(of));
}

void RaftNet::carry_out(Node& node) {
    Effects& effects = node.effects;
    if (effects.mark.number != 0) {
        Write write{effects.mark, {}};
        if (node.pending) {
            write.records.emplace_back(Install{*std::move(node.pending), effects.reset});
            node.pending.reset();
        } else if (effects.reset) {
            blame(node, "voids its log without a snapshot");
        }
        if (effects.hard_state) write.records.emplace_back(*effects.hard_state);
        for (const Entry& entry : effects.append) {
            write.records.emplace_back(std::string(as_text(entry.bytes)));
            note_written(node, entry, node.raft->term_at(Index(entry.index.value() - 1)));
        }
        node.writes.push_back(std::move(write));
    }
    std::vector<Message> messages = std::move(effects.messages);
    for (Message& message : messages) send(node, std::move(message));
    apply(node);
    for (const ReadReady& ready : effects.reads) {
        node.confirmed = ready;
        // Whoever committed it: what was committed when a read was asked for is read.
        const auto behind = node.asked.upper_bound(ready.round);
        for (auto one = node.asked.begin(); one != behind; ++one) {
            ++reads;
            if (one->second > ready.index) blame(node, "serves a stale read");
        }
        node.asked.erase(node.asked.begin(), behind);
    }
    const std::vector<Fetch> wanted = std::move(effects.fetches);
    const std::vector<SnapshotSend> sends = std::move(effects.snapshots);
    const std::optional<Message> offer = std::move(effects.receive_snapshot);
    effects.clear();
    for (const SnapshotSend& send_one : sends) {
        Message request = send_one.request;
        // The next one will do; the group asks again when this is given up.
        if (node.snapshot.position.index < send_one.covers) {
            input(node, [&](Raft& raft, Effects&) { raft.snapshot_sent(request, false, now_); });
            continue;
        }
        std::get<SnapshotRequest>(request.body).position = node.snapshot.position;
        send(node, std::move(request));
    }
    for (const Fetch& fetch : wanted) {
        ++fetches;
        std::map<Index, Entry> stored;
        for (const Record& record : node.log) {
            if (const auto* bytes = std::get_if<std::string>(&record)) {
                const Entry entry = view_entry(as_bytes(*bytes));
                stored.erase(stored.lower_bound(entry.index), stored.end());
                stored[entry.index] = entry;
            } else if (std::holds_alternative<LogPosition>(record)) {
                stored.clear();
            }
        }
        std::vector<Entry> found;
        for (Index index = fetch.first; index <= fetch.last && stored.contains(index);
             index = index.next()) {
            if (found.size() == 3) break;
            found.push_back(stored[index]);
        }
        input(node, [&](Raft& raft, Effects& more) {
            raft.fetched(fetch.to, fetch.number, found, now_, more);
        });
        carry_out(node);
    }
    if (offer) receive_snapshot(node, *offer);
}

void RaftNet::receive_snapshot(Node& node, const Message& request) {
    constexpr std::size_t offers_max = 4;
    const LogPosition position = std::get<SnapshotRequest>(request.body).position;
    const Node& from = nodes_[request.from.value() - 1];
    if (from.snapshot.position != position) return;  // it has a newer one by now
    if (options_.instant_snapshots) return install(node, request, Snapshot(from.snapshot));
    if (node.offers.size() < offers_max) node.offers.emplace_back(request, from.snapshot);
}

bool RaftNet::finish_snapshot(std::uint64_t of) {
    Node& node = this->node(of);
    if (node.offers.empty()) return false;
    const auto [request, snapshot] = std::move(node.offers.front());
    node.offers.pop_front();
    install(node, request, snapshot);
    return true;
}

void RaftNet::install(Node& node, const Message& request, const Snapshot& snapshot) {
    bool installed = false;
    input(node, [&](Raft& raft, Effects& effects) {
        installed =
            raft.installed(request, snapshot.time_ms, snapshot.configuration, now_, effects);
    });
    if (installed) {
        ++installs;
        node.pending = snapshot;
        node.applied = snapshot.applied;
        node.applied_time_ms = snapshot.time_ms;
        node.applied_configuration = snapshot.configuration;
    }
    turn(id(node));
}

void RaftNet::make_durable(Node& node, const Record& record) {
    std::visit(Overloaded{[&](const HardState& state) {
                              node.state = state;
                              node.log.push_back(state);
                          },
                          [&](const std::string& bytes) {
                              const Entry entry = view_entry(as_bytes(bytes));
                              node.entries.erase(node.entries.lower_bound(entry.index),
                                                 node.entries.end());
                              node.entries[entry.index] = entry.term;
                              node.log.push_back(bytes);
                          },
                          [&](LogPosition) {},  // only with its snapshot
                          [&](const Install& install) {
                              node.snapshot = install.snapshot;
                              if (!install.reset) return;
                              node.entries.clear();
                              node.log.push_back(*install.reset);
                          }},
               record);
}

void RaftNet::apply(Node& node) {
    Raft& raft = *node.raft;
    while (raft.applied_index() < raft.commit()) {
        const Entry entry = raft.entry(raft.applied_index().next());
        if (entry.kind == EntryKind::commands) node.applied.emplace_back(as_text(entry.payload));
        if (entry.kind == EntryKind::configuration) {
            node.applied_configuration = *decode_configuration(entry.payload);
        }
        node.applied_time_ms = entry.time_ms;
        const Fact fact{entry.term, checksum(entry.bytes)};
        const std::size_t at = entry.index.value() - 1;
        if (at < committed_.size() && committed_[at] != fact) {
            blame(node, "two state machines apply different entries at one index");
        }
        raft.applied(entry.index);
    }
}

// --- what happened -------------------------------------------------------------------------------

std::string RaftNet::terms(std::uint64_t of) {
    std::string out;
    const Raft& raft = at(of);
    for (Index index = raft.compacted().index.next(); index <= raft.last().index;
         index = index.next()) {
        if (!out.empty()) out += ' ';
        out += std::to_string(raft.term_at(index).value());
    }
    return out;
}

std::string RaftNet::applied(std::uint64_t of) const {
    std::string out;
    for (const std::string& one : nodes_[of - 1].applied) {
        if (!out.empty()) out += ' ';
        out += one;
    }
    return out;
}

std::uint64_t RaftNet::leader() const {
    std::uint64_t best = 0;
    for (const Node& node : nodes_) {
        if (!node.raft || node.raft->role() != Role::leader) continue;
        if (best == 0 || node.raft->term() > nodes_[best - 1].raft->term()) best = id(node);
    }
    return best;
}

}  // namespace kv::consensus
