#pragma once

/// One node's Raft, whose peers, disk and clock are the test: it says what they say and looks at
/// what the node sends. The node is 1, the others are 2, 3, ...; it starts with a log of one entry,
/// the configuration, as of term 1.

#include <deque>

#include "consensus/core/invariants.h"

namespace kv::consensus {

inline Configuration configuration_of(std::vector<std::uint8_t> roles) {
    Configuration configuration;
    for (std::size_t i = 0; i < roles.size(); ++i) {
        Member member;
        member.node = NodeId(i + 1);
        member.roles = roles[i];
        member.host = "h";
        if (roles[i] != 0) configuration.members.push_back(std::move(member));
    }
    return configuration;
}

inline LogPosition at(std::uint64_t term, std::uint64_t index) {
    return {Term(term), Index(index)};
}

class RaftOne {
public:
    static RaftOptions default_options() {
        RaftOptions options;
        options.group = GroupId(7);
        options.self = NodeId(1);
        options.boot = 3;
        options.seed = 1;
        return options;
    }
    explicit RaftOne(const Configuration& configuration = configuration_of({1, 1, 1}),
                     RaftOptions options = default_options())
        : raft_(options) {
        start(configuration);
    }
    /// Starts from a snapshot, with an empty log behind it.
    RaftOne(LogPosition snapshot, const Configuration& configuration) : raft_(default_options()) {
        raft_.restore(snapshot, 0, configuration);
        start(configuration);
    }

    Raft& raft() noexcept { return raft_; }
    Raft* operator->() noexcept { return &raft_; }
    Instant now{std::chrono::seconds(1)};
    bool disk_held = false;
    std::vector<Message> sent;  ///< since the last forget(); entries are not to be looked at
    std::vector<ReadReady> reads;
    std::vector<SnapshotSend> snapshots;
    std::vector<Fetch> fetches;
    std::optional<Message> offered;
    std::optional<LogPosition> reset;  ///< the newest that was handed over
    std::vector<LogPosition> written;  ///< all entries that were handed over
    std::size_t contradictions = 0;    ///< of peers, with what is committed
    std::string fault;                 ///< what does not hold any more; empty: nothing

    void forget() {
        sent.clear();
        written.clear();
    }

    /// `from` sends a message of its own.
    void hear(std::uint64_t from, std::uint64_t term, MessageBody body, std::uint64_t boot = 5) {
        step({GroupId(7), NodeId(from), NodeId(1), Term(term), boot, ++sequence_, std::move(body)});
    }
    /// Entries of these terms behind `previous`, from the leader `from`.
    void append(std::uint64_t from, std::uint64_t term, LogPosition previous,
                const std::vector<std::uint64_t>& terms, std::uint64_t commit) {
        AppendRequest request{previous, Index(commit), {}};
        Index index = previous.index;
        for (const std::uint64_t one : terms) {
            index = index.next();
            request.entries.push_back(entry(one, index.value()));
        }
        hear(from, term, std::move(request));
    }
    /// `from` answers `request`, in its term.
    void answer(const Message& request, MessageBody body) {
        step({request.group, request.to, request.from, request.term, request.boot, request.sequence,
              std::move(body)});
    }
    void step(const Message& message) {
        input([&](Effects& effects) { raft_.step(message, now, effects); });
    }
    void pass(Duration time) {
        for (Duration passed = 0ms; passed < time; passed += 10ms) {
            now += 10ms;
            input([&](Effects& effects) { raft_.tick(now, effects); });
        }
    }
    template <typename Input>
    void input(const Input& run) {
        const Observed before = observe(raft_);
        Effects effects;
        run(effects);
        raft_.flush(now, effects);
        if (const auto wrong = violated(before, raft_); wrong && fault.empty()) fault = *wrong;
        sent.insert(sent.end(), effects.messages.begin(), effects.messages.end());
        reads.insert(reads.end(), effects.reads.begin(), effects.reads.end());
        snapshots.insert(snapshots.end(), effects.snapshots.begin(), effects.snapshots.end());
        fetches.insert(fetches.end(), effects.fetches.begin(), effects.fetches.end());
        if (effects.receive_snapshot) offered = effects.receive_snapshot;
        if (effects.reset) reset = effects.reset;
        if (effects.contradicted) ++contradictions;
        for (const Entry& one : effects.append) written.push_back({one.term, one.index});
        if (effects.mark.number != 0) marks_.push_back(effects.mark);
        if (!disk_held) persist();
    }
    /// The oldest hand-over is durable; all of them when the disk is not held.
    void persist() {
        while (!marks_.empty()) {
            const PersistMark mark = marks_.front();
            marks_.pop_front();
            const bool held = std::exchange(disk_held, true);
            input([&](Effects& effects) { raft_.persisted(mark, now, effects); });
            disk_held = held;
            if (disk_held) return;
        }
    }
    std::size_t hand_overs() const noexcept { return marks_.size(); }

    /// Wins an election with the votes of all other voters, and brings its no-op to them.
    void lead() {
        campaign();
        for (const Message& one : take<AppendRequest>()) acknowledge(one);
        forget();
    }
    /// The same, without an answer to its first requests.
    void campaign() {
        while (raft_.role() == Role::follower) pass(10ms);
        for (const Message& one : take<VoteRequest>()) answer(one, VoteReply{true, true});
        for (const Message& one : take<VoteRequest>()) answer(one, VoteReply{false, true});
    }
    void propose() {
        input([&](Effects&) { raft_.propose(raft_.take_buffer(), EntryKind::commands, 1); });
    }
    /// The follower has all that this request brought; the requests' ends are those of the log.
    void acknowledge(const Message& request) {
        answer(request, AppendReply{false, raft_.last().index, {}});
    }

    /// Takes what was sent of a kind out of `sent`.
    template <typename Body>
    std::vector<Message> take() {
        std::vector<Message> taken;
        for (const Message& one : sent) {
            if (std::holds_alternative<Body>(one.body)) taken.push_back(one);
        }
        std::erase_if(sent,
                      [](const Message& one) { return std::holds_alternative<Body>(one.body); });
        return taken;
    }
    /// The only message of a kind that was sent, and its body.
    template <typename Body>
    std::optional<Body> only() {
        const std::vector<Message> taken = take<Body>();
        if (taken.size() != 1) return std::nullopt;
        return std::get<Body>(taken.front().body);
    }
    std::string terms() const {
        std::string out;
        for (Index index = raft_.compacted().index.next(); index <= raft_.last().index;
             index = index.next()) {
            if (!out.empty()) out += ' ';
            out += std::to_string(raft_.term_at(index).value());
        }
        return out;
    }
    /// An entry that lives as long as this: empty, or a configuration.
    Bytes entry(std::uint64_t term, std::uint64_t index, const Configuration* configuration = {}) {
        std::string bytes(entry_header_bytes, '\0');
        if (configuration != nullptr) encode_configuration(*configuration, bytes);
        seal_entry({reinterpret_cast<std::byte*>(bytes.data()), bytes.size()}, GroupId(7),
                   Term(term), Index(index), 0,
                   configuration != nullptr ? EntryKind::configuration : EntryKind::noop);
        entries_.push_back(std::move(bytes));
        return as_bytes(entries_.back());
    }

private:
    void start(const Configuration& configuration) {
        input([&](Effects& effects) {
            if (!raft_.start(configuration, now, effects)) fault = "does not start";
        });
        forget();
    }

    Raft raft_;
    std::deque<PersistMark> marks_;
    std::deque<std::string> entries_;
    std::uint64_t sequence_ = 0;
};

}  // namespace kv::consensus
