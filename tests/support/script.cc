#include "tests/support/script.h"

#include <fmt/format.h>

#include <sstream>

#include "tests/support/raft_net.h"

namespace kv::consensus {

namespace {

std::string_view role_text(Role role) {
    switch (role) {
        case Role::follower: return "follower";
        case Role::pre_candidate: return "asking";
        case Role::candidate: return "candidate";
        case Role::leader: return "leader";
    }
    return "";
}

std::string position_text(LogPosition position) {
    return fmt::format("{}.{}", position.index.value(), position.term.value());
}

/// index.term stands for a place in a log.
std::string body_text(const Packet& packet) {
    struct Text {
        const Packet& packet;
        std::string operator()(const VoteRequest& body) const {
            return fmt::format("{}vote? last {}{}", body.pre ? "pre-" : "",
                               position_text(body.last), body.transfer ? ", handed over" : "");
        }
        std::string operator()(const VoteReply& body) const {
            return fmt::format("{}vote {}", body.pre ? "pre-" : "", body.granted ? "yes" : "no");
        }
        std::string operator()(const AppendRequest& body) const {
            std::string entries;
            for (const std::string& entry : packet.entries) {
                const Entry view = view_entry(as_bytes(entry));
                entries += fmt::format(" {}", position_text({view.term, view.index}));
            }
            return fmt::format("append behind {}:{} commit {}", position_text(body.previous),
                               entries.empty() ? " nothing" : entries, body.commit.value());
        }
        std::string operator()(const AppendReply& body) const {
            if (!body.rejected) return fmt::format("has up to {}", body.match.value());
            return fmt::format("has not {}, try {}", body.match.value(), position_text(body.hint));
        }
        std::string operator()(const HeartbeatRequest& body) const {
            return fmt::format("heartbeat commit {} read {}", body.commit.value(), body.read);
        }
        std::string operator()(const HeartbeatReply& body) const {
            return fmt::format("alive read {}", body.read);
        }
        std::string operator()(const SnapshotRequest& body) const {
            return fmt::format("snapshot up to {}", position_text(body.position));
        }
        std::string operator()(const TimeoutNow&) const { return "campaign now"; }
    };
    return std::visit(Text{packet}, packet.message.body);
}

class Player {
public:
    /// What the command of `line` prints.
    std::string play(const std::string& line) {
        words_ = std::istringstream(line);
        out_.clear();
        const std::string verb = word();
        if (verb == "nodes") {
            begin();
        } else if (!net_) {
            out_ = "ERROR a script begins with nodes\n";
        } else if (!look(verb) && !act(verb) && !disturb(verb)) {
            out_ = fmt::format("ERROR unknown command {}\n", verb);
        }
        if (net_ && !net_->fault.empty()) out_ += fmt::format("FAULT {}\n", net_->fault);
        return std::move(out_);
    }

private:
    std::string word() {
        std::string word;
        words_ >> word;
        return word;
    }
    std::uint64_t number(std::uint64_t otherwise = 0) {
        std::uint64_t number = otherwise;
        if (!(words_ >> number)) return otherwise;
        return number;
    }
    std::uint64_t node() {
        const std::uint64_t node = number();
        if (node == 0 || node > net_->size()) throw std::invalid_argument("no such node");
        return node;
    }
    std::uint64_t live_node() {
        const std::uint64_t live = node();
        if (!net_->up(live)) throw std::invalid_argument("node is down");
        return live;
    }
    Duration time() {
        std::uint64_t count = number();
        const std::string unit = word();
        if (unit == "s") count *= 1000;
        return std::chrono::milliseconds(count);
    }
    void say(bool done) {
        if (!done) out_ += "no\n";
    }

    void begin() {
        NetOptions options;
        options.nodes = number();
        for (std::string key = word(); !key.empty(); key = word()) {
            if (key == "learners") options.learners = number();
            if (key == "seed") options.seed = number();
            if (key == "append") options.raft.append_bytes_max = number();
            if (key == "window") options.raft.inflight_requests_max = number();
            if (key == "slow") options.instant_snapshots = word() != "snapshots";
            if (key == "cache") options.raft.cached_bytes_max = number();
        }
        net_.emplace(options);
    }

    /// Commands that change nothing.
    bool look(const std::string& verb) {
        if (verb == "show") {
            std::uint64_t one = number();
            if (one == 0) {
                for (one = 1; one <= net_->size(); ++one) show(one);
            } else {
                for (; one != 0; one = number()) show(one);
            }
        } else if (verb == "packets") {
            for (const Packet& packet : net_->packets()) {
                out_ += fmt::format("{}>{} t{} {}\n", packet.message.from.value(),
                                    packet.message.to.value(), packet.message.term.value(),
                                    body_text(packet));
            }
            if (net_->packets().empty()) out_ += "none\n";
        } else if (verb == "applied") {
            out_ += net_->applied(node()) + "\n";
        } else if (verb == "confirmed") {
            const ReadReady ready = net_->confirmed(node());
            out_ += fmt::format("round {} at {}\n", ready.round, ready.index.value());
        } else if (verb == "leader") {
            out_ += fmt::format("{}\n", net_->leader());
        } else {
            return false;
        }
        return true;
    }

    void show(std::uint64_t one) {
        if (!net_->up(one)) {
            out_ += fmt::format("{}  down\n", one);
            return;
        }
        const Raft& raft = net_->at(one);
        std::string log;
        if (raft.compacted().index.value() != 0) {
            log = fmt::format("[{}]", raft.compacted().index.value());
        }
        bool open = false;
        for (Index index = raft.compacted().index.next(); index <= raft.last().index;
             index = index.next()) {
            if (index == raft.commit().next() && index.value() != 1) {
                log += '|';
            } else if (!log.empty()) {
                log += ' ';
            }
            if (!open && index > raft.durable().index) {
                log += '(';
                open = true;
            }
            log += std::to_string(raft.term_at(index).value());
        }
        if (open) log += ')';
        if (raft.commit() == raft.last().index) log += '|';
        out_ += fmt::format("{}  {:9}  t{}  {}\n", one, role_text(raft.role()), raft.term().value(),
                            log);
    }

    /// What nodes are asked to do, and time.
    bool act(const std::string& verb) {
        if (verb == "campaign") {
            net_->campaign(live_node());
        } else if (verb == "elect") {
            say(net_->elect(live_node()));
        } else if (verb == "tick") {
            net_->tick(live_node());
        } else if (verb == "run") {
            net_->run(time());
        } else if (verb == "pass") {
            net_->pass(time());
        } else if (verb == "settle") {
            net_->settle();
        } else if (verb == "propose") {
            const std::uint64_t to = live_node();
            say(net_->propose(to, word()));
        } else if (verb == "transfer") {
            const std::uint64_t from = live_node();
            say(net_->transfer(from, node()));
        } else if (verb == "read") {
            const std::uint64_t round = net_->read(live_node());
            out_ += round == 0 ? "no\n" : fmt::format("round {}\n", round);
        } else if (verb == "snapshot") {
            net_->snapshot(live_node());
        } else if (verb == "install") {
            say(net_->finish_snapshot(live_node()));
        } else if (verb == "stall" || verb == "unstall") {
            net_->stall(live_node(), verb == "stall");
        } else {
            return false;
        }
        return true;
    }

    /// What happens to disks, processes and messages.
    bool disturb(const std::string& verb) {
        if (verb == "log") {
            rewrite();
        } else if (verb == "hold" || verb == "unhold") {
            net_->hold_disk(live_node(), verb == "hold");
        } else if (verb == "persist") {
            const std::uint64_t of = live_node();
            for (std::uint64_t i = number(1); i != 0; --i) say(net_->persist(of));
        } else if (verb == "crash") {
            const std::uint64_t of = live_node();
            net_->crash(of, number());
        } else if (verb == "restart") {
            net_->restart(node());
        } else if (verb == "deliver" || verb == "lose") {
            const std::uint64_t from = node();
            const std::optional<std::size_t> at = oldest(from, node());
            say(at.has_value());
            if (at && verb == "deliver") net_->deliver(*at);
            if (at && verb == "lose") net_->drop(*at);
        } else if (verb == "keep") {
            const std::uint64_t from = node();
            const std::uint64_t to = node();
            while (const std::optional<std::size_t> at = oldest(from, to)) {
                kept_.push_back(net_->packets()[*at]);
                net_->packets().erase(net_->packets().begin() + static_cast<std::ptrdiff_t>(*at));
            }
        } else if (verb == "resend") {
            for (Packet& packet : kept_) net_->packets().push_back(std::move(packet));
            kept_.clear();
        } else if (verb == "cut") {
            const std::uint64_t from = node();
            net_->cut(from, node());
        } else if (verb == "isolate") {
            net_->isolate(node());
        } else if (verb == "heal") {
            net_->heal();
        } else if (verb == "disconnect") {
            const std::uint64_t of = node();
            net_->disconnect(of, node());
        } else {
            return false;
        }
        return true;
    }

    void rewrite() {
        const std::uint64_t of = node();
        const Term term(number());
        word();  // ':'
        std::vector<Term> terms;
        for (std::uint64_t one = number(); one != 0; one = number()) terms.emplace_back(one);
        net_->rewrite(of, term, terms);
    }

    /// Where the oldest message from `from` to `to` is.
    std::optional<std::size_t> oldest(std::uint64_t from, std::uint64_t to) {
        const std::vector<Packet>& packets = net_->packets();
        const auto found = std::ranges::find_if(packets, [&](const Packet& packet) {
            return packet.message.from == NodeId(from) && packet.message.to == NodeId(to);
        });
        if (found == packets.end()) return std::nullopt;
        return static_cast<std::size_t>(found - packets.begin());
    }

    std::optional<RaftNet> net_;
    std::istringstream words_;
    std::string out_;
    std::vector<Packet> kept_;
};

}  // namespace

std::string run_script(const std::string& script) {
    Player player;
    std::istringstream lines(script);
    std::string out;
    std::string printed;
    bool expected = false;  // within what the commands before it print
    const auto end_step = [&] {
        if (!printed.empty()) out += fmt::format("----\n{}", printed);
        printed.clear();
        expected = false;
    };
    for (std::string line; std::getline(lines, line);) {
        if (line.empty()) {
            end_step();
            out += '\n';
        } else if (line == "----") {
            expected = true;
        } else if (!expected) {
            out += line + '\n';
            const std::string command = line.substr(0, line.find('#'));
            if (command.find_first_not_of(' ') == std::string::npos) continue;
            try {
                printed += player.play(command);
            } catch (const std::exception& error) {
                printed += fmt::format("ERROR {}\n", error.what());
            }
        }
    }
    end_step();
    return out;
}

}  // namespace kv::consensus
