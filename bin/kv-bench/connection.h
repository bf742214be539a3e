#pragma once

/// One connection: a batch is sent when the one before is sent and answered whole. What a batch is
/// and when it goes is the Worker's. Owner thread only.

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "bin/kv-bench/history.h"
#include "bin/kv-bench/reply_counter.h"
#include "bin/kv-bench/workload.h"
#include "io/socket.h"

namespace kv::bench {

class Worker;

struct Batch {
    /// Of its first request: the key to load; in an open loop the request's number, which tells
    /// when it was due.
    std::uint64_t first = 0;
    std::size_t count = 0;
    bool load = false;
};

class Connection final : public io::Stream::Handler {
public:
    /// `number` among all connections of the run. `history` may be null.
    Connection(Worker& worker, std::uint64_t number, HistoryFile* history);
    virtual ~Connection() = default;

    /// Takes over a connected descriptor. Not while open().
    void attach(std::int32_t fd);
    bool open() const noexcept { return stream_.has_value() && !stream_->closing(); }
    bool busy() const noexcept { return batch_.count > 0; }
    std::size_t awaited() const noexcept { return awaited_; }
    const Batch& batch() const noexcept { return batch_; }
    Instant sent_at() const noexcept { return sent_at_; }

    /// Only when open() and not busy().
    void send(const Batch& batch);
    /// The same, of a cluster's load, which may have to send some of these again.
    void send(std::span<const OpenRequest> requests);
    /// Those that are not answered.
    std::span<const OpenRequest> awaited_requests() const noexcept {
        return std::span(requests_).last(awaited_);
    }
    BatchWriter& writer() noexcept { return writer_; }
    /// No reply is awaited any more.
    void give_up();
    /// Ends with Worker::closed().
    void close() noexcept { stream_->close(); }
    /// After Worker::closed().
    void detach() noexcept { stream_.reset(); }

    /// Begins to connect; ends with ClusterLoad::connected(). Not while attached or connecting.
    void connect(const io::Endpoint& endpoint);
    bool connecting() const noexcept { return connect_.in_flight(); }
    void cancel_connect();
    /// Sends what makes the server name other nodes instead of asking them itself; ends with
    /// ClusterLoad::ready(). RESP: it then takes the client for one that knows clusters. In the
    /// other protocols it does that anyway, and nothing is sent.
    void greet();

    /// The ClusterLoad's.
    struct {
        std::uint16_t node = 0;  ///< which it is to be connected to
        std::uint16_t at = 0;    ///< which it is connected to
        bool ready = false;      ///< it may be sent requests
        bool idle = false;       ///< it is in the list of those
        Instant connect_began;
        std::size_t answered = 0;  ///< of the batch, and never sent before
    } place;

    // The Worker's list of those that wait for a request to be due.
    Connection* next_idle = nullptr;
    bool listed = false;

private:
    void on_received(Bytes bytes) noexcept override;
    void on_sent(std::size_t bytes) noexcept override;
    void on_ended(std::int32_t error) noexcept override;
    void on_closed() noexcept override;
    void finish_batch(Instant now);
    void begin_send(Instant now);
    void on_greeted(Bytes bytes) noexcept;

    struct ConnectOp : io::Op {
        explicit ConnectOp(Connection& c) noexcept : Op(&connected), connection(c) {}
        static void connected(Op& op, std::int32_t result, io::Completion completion) noexcept;
        Connection& connection;
        io::Endpoint endpoint;
    };
    enum class Greeting : std::uint8_t { none, awaited, answered };

    Worker& worker_;
    const Wire wire_;
    std::optional<io::Stream> stream_;
    BatchWriter writer_;
    ReplyCounter counter_;
    std::optional<ClientHistory> history_;
    std::string_view unsent_;
    Batch batch_;              ///< in flight; count 0: none
    std::size_t awaited_ = 0;  ///< of it, not yet answered
    Instant sent_at_;
    Instant replied_at_;

    // Of a cluster's load.
    std::vector<OpenRequest> requests_;
    ConnectOp connect_{*this};
    Greeting greeting_ =
        Greeting::none;  ///< answered: what was sent is still in the kernel's hands
};

}  // namespace kv::bench
