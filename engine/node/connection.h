#pragma once

/// Connection: one client. Takes requests from the front of its byte stream, executes them in
/// batches with the memory they will touch fetched ahead, and sends their replies in order, one
/// send a turn. Owner core only; destroyed by the Node after on_gone().
///
/// Reading pauses, and TCP pushes back, while pipeline_max requests or pipeline_bytes_max bytes of
/// requests and of replies held back behind others are unanswered, or output_pause_bytes of replies
/// are not taken. Nothing is dropped. A value that another core is asked for counts before it is
/// there, as long as those of late; before there were any, as long as a value may be.

#include <array>
#include <memory>
#include <span>
#include <string>
#include <variant>

#include "engine/node/client_list.h"
#include "engine/node/pipeline.h"
#include "engine/node/scan.h"
#include "engine/node/services.h"
#include "engine/node/session.h"
#include "engine/replica/replica.h"
#include "io/socket.h"
#include "proto/binary/binary_codec.h"
#include "proto/detect.h"
#include "proto/resp/resp_codec.h"
#include "proto/text/text_codec.h"

namespace kv {

class Connection final : private io::Stream::Handler {
public:
    /// Takes over the connected descriptor. `refusal`: nothing is read, this is sent, and then the
    /// connection is closed.
    Connection(Services& services, std::int32_t fd, std::string_view refusal = {});
    Connection(const Connection&) = delete;

    void start();
    // What became of a part of one of its requests: RouteHandler.
    void on_applied(const Waiter& waiter, const Store::Applied& result) noexcept;
    void on_refused(const Waiter& waiter, Refused refusal) noexcept;
    void on_read(const Waiter& waiter, const std::optional<Store::Found>& found) noexcept;
    /// The commands that the read waited for are applied, and no later one is.
    void on_readable(const Waiter& waiter, const Store& store) noexcept;
    /// The same of a part that another node was asked for: ForwardHandler.
    void on_forwarded(const Waiter& waiter, const ForwardAnswer& answer) noexcept;
    /// Collects what is answered, in order, goes on with input that was held back, and sends. When
    /// the turn ends.
    void end_turn();
    /// Once a second or so: unanswered for too long, or a peer that takes nothing.
    void check_time(Instant now) noexcept;
    /// Whether it has sent something since, or waits for an answer.
    bool busy_since(Instant time) const noexcept;
    /// Begins nothing more; closes when what was begun is answered and sent.
    void finish() noexcept;
    /// Closes without waiting.
    void close() noexcept;

    /// Memory held.
    std::size_t bytes() const noexcept;
    /// For CLIENT LIST.
    ClientInfo info(Instant now) const;

    /// Nothing will call it any more: it may be destroyed.
    bool gone() const noexcept;
    /// It was never served.
    bool refused() const noexcept { return refused_; }

    bool marked = false;    ///< the Node's: is in its list of this turn
    std::size_t place = 0;  ///< in the Server's list

private:
    // io::Stream::Handler
    void on_received(Bytes bytes) noexcept override;
    void on_sent(std::size_t bytes) noexcept override;
    void on_ended(std::int32_t error) noexcept override;
    void on_closed() noexcept override;

    /// How long a client may keep a connection that is over: while it goes on sending, at most.
    static constexpr Duration linger_quiet_max = 200ms;
    static constexpr Duration linger_max = 1s;

    void take_input(std::string_view input);
    void take_kept_input();
    std::size_t parse(std::string_view input);
    ParseResult next_request(std::string_view input, Request& out);
    static void refuse_while_loading(Request& request);
    void stage(const Request& request, std::string_view input);
    void prefetch_block(const PendingRequest& pending) const noexcept;
    void execute_batch();
    void execute_alone(const Request& request);
    void execute(const Request& request, std::uint64_t hash, KeyPlace where);
    void execute_silently(const Request& request, std::uint64_t hash, KeyPlace where);
    void begin(const Request& request, std::uint64_t hash, KeyPlace where);
    bool reads_here() const noexcept;
    void read_here(const Request& request, std::uint64_t hash, KeyPlace where);
    KeyPlace place_of(std::string_view key) const noexcept;
    bool crosses_slots(const Request& request) const noexcept;

    Slot& push(const Request& request);
    void park(const Request& request);
    void read(const Request& request, std::uint64_t hash, KeyPlace where);
    void answer_read(const Request& request, const Store& store, std::uint64_t hash,
                     std::string& out);
    void answer_found(const Request& request, const std::optional<Store::Found>& found,
                      std::string& out);
    void answer(const Request& request, std::string& out);
    template <typename Write>
    void answer_at_once(Verb verb, Write write);
    void expect_values_like(std::size_t bytes) noexcept;
    void write(const Request& request, KeyPlace where);
    void refuse(const Request& request);
    void answer_outcome(const Slot& slot, std::string& out);
    void propose(std::uint64_t number, ShardId shard, const Command& command);
    std::optional<Refused> offer(const Waiter& waiter, ShardId shard, const Command& command);
    void part_done(Slot& slot) noexcept;
    void called_back() noexcept;
    bool can_answer_at_once(const Request& request) const noexcept;

    // Requests over many keys, in slices: connection_wide.cc.
    static constexpr std::size_t wide_parts_per_turn = 512;
    static constexpr std::size_t wide_parts_in_flight_max = 4096;
    /// Of those of MGET, which bring values, also no more than may be in one reply, or this many.
    static constexpr std::size_t wide_values_in_flight_min = 16;
    /// The one that is at the front of the pipeline. Its arguments are parked_args_.
    struct Wide {
        std::size_t parts = 0;
        std::size_t begun = 0;
        std::size_t reads_in_flight = 0;
        std::size_t bytes = 0;
        std::int64_t found = 0;
        std::vector<std::optional<std::string>> values;
        bool too_large = false;
        std::optional<Refused> refusal;  ///< of a read: the whole is refused
        SlotId refused_slot;
    };
    static std::size_t parts_of(Verb verb, std::size_t args) noexcept;
    static bool is_flush(Verb verb) noexcept {
        return verb == Verb::flushall || verb == Verb::flushdb;
    }
    std::size_t parts_in_flight_max(Verb verb) const noexcept;
    void begin_wide(Slot& slot);
    void advance_wide(Slot& slot);
    void begin_part(Slot& slot, std::size_t part);
    void take_part(Slot& slot, std::size_t part, const std::optional<Store::Found>& found);
    std::string_view key_of_part(Verb verb, std::size_t part) const noexcept;
    Command command_of_part(const Slot& slot, std::size_t part) const;
    void refuse_part(Slot& slot, std::size_t part, Refused refusal);
    bool gathers_parts(Protocol protocol) const noexcept;
    std::optional<Refused> forward_part(const Slot& slot, std::size_t part, NodeId leader);
    ShardId shard_of_part(const Slot& slot, std::size_t part) const noexcept;
    void finish_wide(Slot& slot);

    // Requests of one key that another node may have to be asked for: connection_routes.cc.
    /// How long a request of a plain client waits for a leader, in election timeouts.
    static constexpr int leader_wait_elections = Replica::leaderless_max;
    /// Between two looks at whether there is one.
    static constexpr Duration leader_look_period = 20ms;
    bool forwards() const noexcept;
    bool routes() const noexcept;
    bool sees_whole(Protocol protocol) const noexcept;
    bool crosses_ways(ShardId shard, NodeId leader) const noexcept;
    void begin_routed(const Request& request, KeyPlace where);
    void hold(Slot& slot) noexcept;
    bool may_wait(const Slot& slot, Refused refusal) const noexcept;
    void await_leader();
    io::Task<void> wait_for_leader();
    void begin_kept(std::uint64_t number, NodeId leader);
    std::optional<Refused> begin_here(std::uint64_t number);
    std::optional<Refused> begin_away(std::uint64_t number, NodeId leader);
    std::optional<Refused> ask_leader(NodeId leader, ShardId shard, const ForwardRequest& request,
                                      Duration limit, const Waiter& waiter);
    Duration time_left(const Slot& slot) const noexcept;
    void refuse_kept(Slot& slot, Refused refusal);
    void refuse_for_good(Slot& slot, Refused refusal);
    void begin_held();

    // Requests over all shards, as coroutines: connection_jobs.cc.
    struct Job {
        std::uint64_t number;
        Verb verb;
        Protocol protocol;
        std::uint64_t request_id;
        bool whole;  ///< about all shards of the cluster: else about those led here
        bool plain;  ///< the client is not sent anywhere
        std::vector<std::string> args;
    };
    using Work = io::Task<void> (Connection::*)(const Job& job, std::string& out);
    static Work work_of(Verb verb) noexcept;
    void start_job(Slot& slot);
    io::Task<void> run_job(Job job);
    /// Which shards a request over all of them may read, once they have confirmed it.
    struct Reach {
        std::vector<bool> readable;      ///< by shard: led here
        std::vector<NodeId> leaders;     ///< of those that are not
        std::optional<Refused> refusal;  ///< of one that is not: no_leader, if any says so
        std::uint16_t refused_shard = 0;
        bool any = false;  ///< one is readable
    };
    io::Task<void> look_at_shards(Reach* reach, bool whole);
    io::Task<void> reach_shards(Reach* reach, const Job& job);
    bool refuse_beyond(const Reach& reach, const Job& job, std::string& out);
    struct Keys;
    static Cursor collect_slice(const Store& store, Cursor cursor, const std::string* pattern,
                                const Config::Limits& limits, Keys& keys);
    io::Task<std::optional<Errc>> list_elsewhere(NodeId leader, ShardId shard,
                                                 const std::string* pattern, Keys* keys);
    io::Task<std::optional<Errc>> scan_elsewhere(NodeId leader, ScanPosition* at,
                                                 const ScanOptions& options, ScanPage* page);
    io::Task<std::optional<Errc>> pick_elsewhere(const Reach& reach,
                                                 std::optional<std::string>* picked);
    io::Task<void> collect_keys(const Job& job, std::string& out);
    io::Task<void> scan_page(const Job& job, std::string& out);
    io::Task<void> count_keys(const Job& job, std::string& out);
    io::Task<void> pick_key(const Job& job, std::string& out);

    // Requests about the node, the same way: connection_node.cc.
    static bool concerns_all_cores(Verb verb) noexcept;
    io::Task<void> run_node_job(const Job& job, std::string& out);
    template <typename Visit>
    io::Task<void> visit_cores(Visit* visit);
    io::Task<std::vector<CoreFacts>> gather_facts();
    io::Task<void> list_clients(const Job& job, std::string& out);
    io::Task<void> kill_clients(const Job& job, std::string& out);
    io::Task<void> set_settings(const Job& job, std::string& out);
    io::Task<void> answer_slow_commands(const Job& job, std::string& out);
    io::Task<void> take_snapshots(const Job& job, std::string& out);

    // About the cluster, the same way: connection_cluster.cc.
    static bool concerns_cluster(Verb verb) noexcept;
    io::Task<void> run_cluster_job(const Job& job, std::string& out);
    io::Task<void> list_slot(const Job& job, std::string& out);
    io::Task<void> transfer_shard(const Job& job, std::string& out);

    static void refuse_long_reply(std::string_view command, std::size_t bytes_max,
                                  ReplyWriter& reply);

    void note_slow(Duration took, std::vector<std::string> words);
    void run_parked(Slot& slot);
    void expire(Slot& slot);
    void release_answered();
    void retire(Slot& slot);
    bool held_back() const noexcept;
    void flush();
    void close_if_done() noexcept;
    void linger() noexcept;

    Services& services_;
    io::Stream stream_;
    Detector detector_;
    std::variant<std::monostate, text::TextParser, binary::BinaryParser, resp::RespParser> parser_;
    Pipeline pipeline_;
    Session session_;
    RequestBatch& batch_;           ///< the core's; empty but while this connection parses
    std::string input_;             ///< bytes that are not parsed yet
    std::size_t input_needed_ = 0;  ///< there can be no request before input_ has this many
    std::string output_;            ///< replies of this turn
    std::string sending_;           ///< what the kernel is being given
    std::size_t sent_ = 0;
    std::uint64_t outstanding_ = 0;  ///< commands, reads and jobs that will still call back
    /// Shards, modulo 64, to which commands of this connection may be pending.
    std::uint64_t written_shards_ = 0;
    /// Shards, modulo 64, that requests of one key were begun for on this node. Both end when
    /// nothing is outstanding.
    std::uint64_t here_shards_ = 0;
    /// How requests get to a leader: one after the other as long as both are the same.
    struct Way {
        NodeId leader;
        std::uint64_t way = 0;
        bool operator==(const Way&) const noexcept = default;
    };
    /// What other nodes are asked for.
    struct Away {
        std::size_t in_flight = 0;
        std::uint64_t shards = 0;  ///< modulo 64, with requests of one key under way
        std::array<Way, 64> ways;  ///< of these
    };
    std::unique_ptr<Away> away_;               ///< null: nothing yet
    std::size_t held_ = 0;                     ///< slots in that state: nothing else begins
    bool awaits_leader_ = false;               ///< nor do they, for a moment
    std::size_t expected_value_bytes_;         ///< of a read on another core
    std::size_t written_value_bytes_max_ = 0;  ///< longest value among those commands
    static std::uint64_t shard_bit(ShardId shard) noexcept {
        return std::uint64_t{1} << (shard.value() % 64);
    }
    bool parked_ = false;  ///< the newest request in the pipeline lets nothing begin behind it
    std::vector<std::string> parked_args_;
    Instant begun_;
    Wide wide_;
    Instant last_progress_;  ///< of sending
    Instant lingering_since_;
    Instant last_input_;
    bool input_ended_ = false;
    bool finishing_ = false;
    bool lingering_ = false;
    const bool refused_;
    bool closed_ = false;
};

}  // namespace kv
