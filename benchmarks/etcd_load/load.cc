#include "benchmarks/etcd_load/load.h"

#include <fmt/format.h>
#include <sys/resource.h>

namespace kv::etcd_load {

namespace {

constexpr auto connect_timeout = std::chrono::seconds(10);

/// Of the whole process: gRPC has threads of its own.
Duration cpu_time() noexcept {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    const auto of = [](const timeval& time) {
        return std::chrono::seconds(time.tv_sec) + std::chrono::microseconds(time.tv_usec);
    };
    return of(usage.ru_utime) + of(usage.ru_stime);
}

/// Of gRPC's status codes, https://grpc.github.io/grpc/core/md_doc_statuscodes.html.
std::string kind_of(const grpc::Status& status) {
    return fmt::format("grpc {}", static_cast<int>(status.error_code()));
}

std::unexpected<Error> silent(Duration timeout) {
    return fail(Errc::io,
                fmt::format("no reply for {} s", std::chrono::duration<double>(timeout).count()));
}

}  // namespace

Load::Load(const Options& options)
    : options_(options),
      value_(options.value_bytes, 'v'),
      space_(options.keys, {}),
      keys_(space_, Prng(options.seed), 0) {
    for (std::size_t i = 0; i < options.connections; ++i) {
        const std::string& target = options.endpoints[i % options.endpoints.size()];
        clients_.push_back(std::make_unique<Client>(target, queue_));
    }
}

Load::~Load() {
    queue_.Shutdown();
    void* tag = nullptr;
    bool ok = false;
    while (queue_.Next(&tag, &ok)) continue;  // gRPC wants it empty
}

Status Load::connect() {
    const auto deadline = std::chrono::system_clock::now() + connect_timeout;
    for (std::size_t i = 0; i < clients_.size(); ++i) {
        if (!clients_[i]->connect(deadline)) {
            return fail(Errc::io, fmt::format("cannot connect to {}",
                                              options_.endpoints[i % options_.endpoints.size()]));
        }
    }
    return {};
}

Client* Load::next() {
    void* tag = nullptr;
    bool ok = false;
    const auto deadline = std::chrono::system_clock::now() + options_.timeout;
    if (queue_.AsyncNext(&tag, &ok, deadline) != grpc::CompletionQueue::GOT_EVENT) return nullptr;
    return static_cast<Client*>(tag);  // the end of a call is always ok; its status tells
}

void Load::send(Client& client) {
    if (options_.get) {
        client.get(keys_.next());
    } else {
        client.put(keys_.next(), value_);
    }
}

Status Load::preload() {
    std::uint64_t first = 0;
    std::size_t busy = 0;
    const auto send_part = [&](Client& client) {
        if (first >= options_.keys) return;
        const std::uint64_t count = std::min(preload_batch, options_.keys - first);
        client.put_all(first, count, value_);
        first += count;
        ++busy;
    };
    for (const auto& client : clients_) send_part(*client);
    while (busy > 0) {
        Client* const client = next();
        if (client == nullptr) return silent(options_.timeout);
        --busy;
        if (!client->status().ok()) return fail(Errc::io, client->status().error_message());
        send_part(*client);
    }
    return {};
}

Status Load::run(Duration duration, bench::Measured& measured) {
    const Duration cpu_before = cpu_time();
    measured.started = now();
    const Instant end = measured.started + duration;
    std::size_t busy = clients_.size();
    for (const auto& client : clients_) send(*client);
    while (busy > 0) {
        Client* const client = next();
        if (client == nullptr) return silent(options_.timeout);
        const Instant at = now();
        measured.finished = at;
        measured.latency.record(static_cast<std::uint64_t>((at - client->sent()).count()));
        ++measured.counts.replies;
        if (client->not_found()) ++measured.counts.not_found;
        if (!client->status().ok()) {
            measured.counts.errors.add(kind_of(client->status()), client->status().error_message());
        }
        if (at < end) {
            send(*client);
        } else {
            --busy;
        }
    }
    measured.cpu = cpu_time() - cpu_before;
    return {};
}

}  // namespace kv::etcd_load
