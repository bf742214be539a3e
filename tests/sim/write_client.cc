#include "tests/sim/write_client.h"

#include <fmt/format.h>

#include "io/await.h"
#include "proto/resp/resp_client.h"

namespace kv::sim {

void WriteClient::add_request(const Workload& workload, Prng& prng) {
    const std::string key = fmt::format("key{}", prng.below(workload.keys));
    if (prng.chance(workload.deletes)) {
        const std::string_view words[] = {"DEL", key};
        resp::encode_command(sending_, words);
        waiting_.push_back(ledger_.send(key, std::nullopt));
        return;
    }
    // Unique, so that a wrong value is seen for what it is.
    std::string value = fmt::format("v{}.", ++values_);
    value.resize(value.size() + prng.below(workload.value_bytes_max), 'x');
    const std::string_view words[] = {"SET", key, value};
    resp::encode_command(sending_, words);
    waiting_.push_back(ledger_.send(key, value));
}

io::Task<void> WriteClient::run(io::Endpoint server, Workload workload, std::uint64_t seed) {
    Prng prng(seed);
    const auto fd = co_await io::connect_to(reactor_, server);
    if (!fd) co_return;
    io::Stream::Handler& handler = *this;
    stream_ = std::make_unique<io::Stream>(reactor_, *fd, handler);
    stream_->receive();
    for (std::size_t burst = 0; burst < workload.bursts && !ended_; ++burst) {
        sending_.clear();
        sent_ = 0;
        for (std::size_t i = 0; i < workload.pipeline; ++i) add_request(workload, prng);
        send_rest();
        while (!ended_ && (!waiting_.empty() || stream_->sending())) {
            wake_.reset();
            co_await wake_.wait();
        }
        const auto pause = static_cast<std::uint64_t>(workload.pause_max.count());
        const Duration wait(static_cast<std::int64_t>(prng.below(pause + 1)));
        co_await io::SleepAwaiter(reactor_, wait);
    }
    stream_->close();
    while (!closed_) {
        wake_.reset();
        co_await wake_.wait();
    }
}

void WriteClient::send_rest() noexcept {
    stream_->send(as_bytes(std::string_view(sending_).substr(sent_)));
}

void WriteClient::on_received(Bytes bytes) noexcept {
    received_.append(as_text(bytes));
    for (std::size_t end = received_.find("\r\n"); end != received_.npos;
         end = received_.find("\r\n")) {
        const std::string line = received_.substr(0, end);
        received_.erase(0, end + 2);
        KV_ASSERT(!waiting_.empty(), "a reply that nobody asked for: {}", line);
        if (line == "+OK" || line == ":1" || line == ":0") {
            ledger_.acknowledge(waiting_.front());
        } else {
            refusal_ = line;
        }
        waiting_.pop_front();
    }
    wake_.set();
}

void WriteClient::on_sent(std::size_t bytes) noexcept {
    sent_ += bytes;
    if (sent_ < sending_.size()) send_rest();
    wake_.set();
}

void WriteClient::on_ended(std::int32_t) noexcept {
    ended_ = true;
    wake_.set();
}

void WriteClient::on_closed() noexcept {
    closed_ = true;
    wake_.set();
}

}  // namespace kv::sim
