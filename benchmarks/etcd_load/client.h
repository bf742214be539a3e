#pragma once

/// One client of etcd: a channel of its own, and at most one request on it. Client, Load and the
/// completion queue belong to one thread.

#include <etcd_kv.grpc.pb.h>
#include <grpcpp/grpcpp.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "proto/base/units.h"

namespace kv::etcd_load {

/// Of one transaction: etcd takes 128.
inline constexpr std::uint64_t preload_batch = 100;

/// Now, on the clock that Instant counts on.
Instant now() noexcept;

/// The one of `endpoints` that leads. Nothing: nobody does, or it is none of them.
std::optional<std::string> find_leader(const std::vector<std::string>& endpoints);

class Client {
public:
    using Stub = etcdserverpb::KV::Stub;

    /// `target`: host:port. Nothing is sent yet.
    Client(const std::string& target, grpc::CompletionQueue& queue);
    Client(const Client&) = delete;

    /// Waits until the channel is connected; false: not until `deadline`.
    bool connect(std::chrono::system_clock::time_point deadline);

    // Each sends a request; it comes back from the queue with this client as its tag. `keys` are
    // numbers.
    void get(std::uint64_t key);
    void put(std::uint64_t key, const std::string& value);
    /// Writes the keys [first, first + count) at once.
    void put_all(std::uint64_t first, std::uint64_t count, const std::string& value);

    Instant sent() const noexcept { return sent_; }
    /// Of the request that came back: it failed, or a get found no key.
    const grpc::Status& status() const noexcept { return status_; }
    bool not_found() const noexcept;

private:
    /// A request in flight: gRPC wants a new context for each, and a place for the answer.
    template <typename Response>
    struct Call {
        grpc::ClientContext context;
        std::unique_ptr<grpc::ClientAsyncResponseReader<Response>> reader;
        Response response;
    };
    template <typename Response>
    Call<Response>& begin();
    template <typename Response>
    void send(Call<Response>& call);

    std::shared_ptr<grpc::Channel> channel_;
    std::unique_ptr<Stub> stub_;
    grpc::CompletionQueue& queue_;
    etcdserverpb::RangeRequest range_;
    etcdserverpb::PutRequest put_;
    std::variant<std::monostate, Call<etcdserverpb::RangeResponse>, Call<etcdserverpb::PutResponse>,
                 Call<etcdserverpb::TxnResponse>>
        call_;
    grpc::Status status_;
    Instant sent_;
};

}  // namespace kv::etcd_load
