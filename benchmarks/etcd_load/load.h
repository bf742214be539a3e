#pragma once

/// The closed loop: every client sends a request, waits for its answer, and sends the next.

#include <memory>
#include <vector>

#include "benchmarks/etcd_load/client.h"
#include "benchmarks/etcd_load/options.h"
#include "bin/kv-bench/key_picker.h"
#include "bin/kv-bench/measured.h"
#include "proto/base/result.h"

namespace kv::etcd_load {

class Load {
public:
    explicit Load(const Options& options);
    ~Load();

    /// Errors: `io`: an endpoint that does not answer.
    Status connect();
    /// Every key once, in transactions. Errors: `io`: the first that failed, or no reply.
    Status preload();
    /// No request starts after `duration`, those in flight are awaited. Replies that are errors
    /// count in `measured`. Errors: `io`: no reply for Options::timeout.
    Status run(Duration duration, bench::Measured& measured);

private:
    void send(Client& client);
    /// The client whose request came back; nullptr: none did for Options::timeout.
    Client* next();

    const Options& options_;
    std::string value_;
    bench::KeySpace space_;
    bench::KeyPicker keys_;
    grpc::CompletionQueue queue_;
    std::vector<std::unique_ptr<Client>> clients_;
};

}  // namespace kv::etcd_load
