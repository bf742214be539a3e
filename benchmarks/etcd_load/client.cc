#include "benchmarks/etcd_load/client.h"

#include <fmt/format.h>

namespace kv::etcd_load {

namespace {

constexpr auto status_timeout = std::chrono::seconds(2);

/// As kv-bench has them, with 16 bytes.
std::string key_text(std::uint64_t number) {
    return fmt::format("key:{:012}", number);
}

std::shared_ptr<grpc::Channel> make_channel(const std::string& target) {
    grpc::ChannelArguments arguments;
    // Channels with equal arguments would share a connection.
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    return grpc::CreateCustomChannel(target, grpc::InsecureChannelCredentials(), arguments);
}

}  // namespace

Instant now() noexcept {
    return Instant(std::chrono::steady_clock::now().time_since_epoch());
}

std::optional<std::string> find_leader(const std::vector<std::string>& endpoints) {
    for (const std::string& endpoint : endpoints) {
        const auto stub = etcdserverpb::Maintenance::NewStub(make_channel(endpoint));
        grpc::ClientContext context;
        context.set_deadline(std::chrono::system_clock::now() + status_timeout);
        etcdserverpb::StatusResponse status;
        const bool ok = stub->Status(&context, {}, &status).ok();
        if (ok && status.leader() != 0 && status.leader() == status.header().member_id()) {
            return endpoint;
        }
    }
    return {};
}

Client::Client(const std::string& target, grpc::CompletionQueue& queue)
    : channel_(make_channel(target)), stub_(etcdserverpb::KV::NewStub(channel_)), queue_(queue) {
    channel_->GetState(true);  // begins to connect
}

bool Client::connect(std::chrono::system_clock::time_point deadline) {
    return channel_->WaitForConnected(deadline);
}

template <typename Response>
Client::Call<Response>& Client::begin() {
    return call_.emplace<Call<Response>>();
}

template <typename Response>
void Client::send(Call<Response>& call) {
    sent_ = now();
    call.reader->StartCall();
    call.reader->Finish(&call.response, &status_, this);
}

void Client::get(std::uint64_t key) {
    auto& call = begin<etcdserverpb::RangeResponse>();
    range_.set_key(key_text(key));
    call.reader = stub_->PrepareAsyncRange(&call.context, range_, &queue_);
    send(call);
}

void Client::put(std::uint64_t key, const std::string& value) {
    auto& call = begin<etcdserverpb::PutResponse>();
    put_.set_key(key_text(key));
    put_.set_value(value);
    call.reader = stub_->PrepareAsyncPut(&call.context, put_, &queue_);
    send(call);
}

void Client::put_all(std::uint64_t first, std::uint64_t count, const std::string& value) {
    auto& call = begin<etcdserverpb::TxnResponse>();
    etcdserverpb::TxnRequest request;
    for (std::uint64_t key = first; key < first + count; ++key) {
        etcdserverpb::PutRequest* put = request.add_success()->mutable_request_put();
        put->set_key(key_text(key));
        put->set_value(value);
    }
    call.reader = stub_->PrepareAsyncTxn(&call.context, request, &queue_);
    send(call);
}

bool Client::not_found() const noexcept {
    const auto* range = std::get_if<Call<etcdserverpb::RangeResponse>>(&call_);
    return range != nullptr && status_.ok() && range->response.count() == 0;
}

}  // namespace kv::etcd_load
