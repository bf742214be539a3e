#include "tests/support/io_scenes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "proto/base/prng.h"

namespace kv::io::scenes {

std::string pattern(std::size_t bytes, std::uint64_t seed) {
    Prng prng(seed);
    std::string text(bytes, '\0');
    for (char& c : text) c = static_cast<char>(prng.next());
    return text;
}

namespace {

MutableBytes bytes_of(std::string& text) {
    return {reinterpret_cast<std::byte*>(text.data()), text.size()};
}

Task<File> open_or_fail(Reactor& reactor, std::string path, std::uint32_t flags) {
    Result<File> opened = co_await File::open(reactor, path, flags);
    EXPECT_TRUE(opened.has_value()) << path;
    if (!opened) co_return File();
    co_return *std::move(opened);
}

Task<void> write_and_read_back(Reactor& reactor, std::string path) {
    File file = co_await open_or_fail(reactor, path, open_write | open_create | open_exclusive);
    const std::string text = pattern(10'000, 1);
    const Status written = co_await file.write_at(0, as_bytes(text), false);
    EXPECT_TRUE(written.has_value());
    const Status synced = co_await file.sync();
    EXPECT_TRUE(synced.has_value());
    const std::string patch = pattern(700, 2);
    const Status patched = co_await file.write_at(3'000, as_bytes(patch), true);
    EXPECT_TRUE(patched.has_value());
    const Status reserved = co_await file.allocate(20'000);
    EXPECT_TRUE(reserved.has_value());
    const Status smaller = co_await file.allocate(100);
    EXPECT_TRUE(smaller.has_value());

    const Status punched = co_await file.punch(4'096, 4'096);
    EXPECT_TRUE(punched.has_value());
    const Status beyond = co_await file.punch(50'000, 4'096);
    EXPECT_TRUE(beyond.has_value());

    std::string expected = text;
    expected.replace(3'000, patch.size(), patch);
    expected.replace(4'096, 4'096, 4'096, '\0');
    expected.resize(20'000, '\0');
    std::string back(30'000, '?');
    const Result<std::size_t> read = co_await file.read_at(0, bytes_of(back));
    EXPECT_EQ(read.value_or(0), expected.size());
    back.resize(expected.size());
    EXPECT_TRUE(back == expected);
    const Result<FileInfo> info = co_await stat_file(reactor, path);
    EXPECT_EQ(info ? info->bytes : 0, expected.size());
    co_await file.close();
}

Task<void> lock_twice(Reactor& reactor, std::string path) {
    File first = co_await open_or_fail(reactor, path, open_write);
    File second = co_await open_or_fail(reactor, path, open_write);
    const Status taken = co_await first.lock();
    EXPECT_TRUE(taken.has_value());
    const Status refused = co_await second.lock();
    EXPECT_TRUE(!refused && refused.error().code == Errc::locked);
    co_await first.close();
    const Status free_again = co_await second.lock();
    EXPECT_TRUE(free_again.has_value());
    co_await second.close();
}

Task<void> expect_names(Reactor& reactor, std::string directory, std::vector<std::string> names) {
    const Result<std::vector<std::string>> listed = co_await list_directory(reactor, directory);
    EXPECT_TRUE(listed.has_value());
    EXPECT_EQ(listed.value_or(std::vector<std::string>{"?"}), names);
}

std::vector<std::string> names_of(std::initializer_list<const char*> names) {
    return {names.begin(), names.end()};
}

}  // namespace

Task<void> file_scene(Reactor& reactor, std::string directory) {
    const Status made = co_await make_directory(reactor, directory);
    EXPECT_TRUE(made.has_value());
    const Status again = co_await make_directory(reactor, directory);
    EXPECT_TRUE(again.has_value());
    const std::string path = directory + "/b";
    const std::string other = directory + "/a";

    Result<File> missing = co_await File::open(reactor, path, 0);
    EXPECT_TRUE(!missing && missing.error().code == Errc::not_found);
    co_await write_and_read_back(reactor, path);
    Result<File> exists =
        co_await File::open(reactor, path, open_write | open_create | open_exclusive);
    EXPECT_TRUE(!exists && exists.error().code == Errc::exists);
    const Status directory_synced = co_await sync_directory(reactor, directory);
    EXPECT_TRUE(directory_synced.has_value());
    co_await lock_twice(reactor, path);

    const std::string content = pattern(5'000, 3);
    const Status replaced = co_await replace_file(reactor, directory, "a", content);
    EXPECT_TRUE(replaced.has_value());
    const std::vector<std::string> both = names_of({"a", "b"});
    co_await expect_names(reactor, directory, both);
    const Status renamed = co_await rename_file(reactor, other, path);
    EXPECT_TRUE(renamed.has_value());
    const std::vector<std::string> one = names_of({"b"});
    co_await expect_names(reactor, directory, one);
    const Result<std::string> back = co_await read_file(reactor, path, 5'000);
    EXPECT_TRUE(back && *back == content);
    const Result<std::string> too_large = co_await read_file(reactor, path, 4'999);
    EXPECT_TRUE(!too_large && too_large.error().code == Errc::too_large);

    const Status removed = co_await remove_file(reactor, path);
    EXPECT_TRUE(removed.has_value());
    const Status gone = co_await remove_file(reactor, path);
    EXPECT_TRUE(!gone && gone.error().code == Errc::not_found);
    const std::vector<std::string> none;
    co_await expect_names(reactor, directory, none);
}

Task<void> direct_scene(Reactor& reactor, std::string directory) {
    const std::string path = directory + "/direct";
    File file = co_await open_or_fail(reactor, path, open_write | open_create | open_direct);
    struct alignas(block_bytes) Blocks {
        std::array<std::byte, 4 * block_bytes> bytes;
    };
    const auto blocks = std::make_unique<Blocks>();
    const std::string text = pattern(blocks->bytes.size(), 4);
    copy_exact(blocks->bytes, as_bytes(text));
    const Status reserved = co_await file.allocate(2 * blocks->bytes.size());
    EXPECT_TRUE(reserved.has_value());
    const Status written = co_await file.write_at(block_bytes, blocks->bytes, true);
    EXPECT_TRUE(written.has_value());
    const Bytes shifted = Bytes(blocks->bytes).first(block_bytes);
    const Status bad_offset = co_await file.write_at(512 + 1, shifted, true);
    EXPECT_FALSE(bad_offset.has_value());
    const Status bad_length = co_await file.write_at(0, shifted.first(100), true);
    EXPECT_FALSE(bad_length.has_value());
    blocks->bytes.fill(std::byte{0});
    const Result<std::size_t> read = co_await file.read_at(block_bytes, blocks->bytes);
    EXPECT_EQ(read.value_or(0), text.size());
    EXPECT_TRUE(as_text(blocks->bytes) == text);
    co_await file.close();
    const Status removed = co_await remove_file(reactor, path);
    EXPECT_TRUE(removed.has_value());
}

// Echo.

struct EchoServer::Session final : Stream::Handler {
    Session(EchoServer& s, std::uint64_t n, std::int32_t fd)
        : server(s), number(n), stream(s.reactor_, fd, *this) {}

    void on_received(Bytes bytes) noexcept override {
        waiting.append(as_text(bytes));
        if (waiting.size() > waiting_bytes_max) stream.pause();
        send_more();
    }
    void on_sent(std::size_t bytes) noexcept override {
        sent += bytes;
        send_more();
    }
    void on_ended(std::int32_t error) noexcept override {
        ended = true;
        if (error != 0 || !stream.sending()) stream.close();
    }
    void on_closed() noexcept override { server.forget(number); }

    void send_more() {
        if (stream.sending() || stream.closing()) return;
        if (sent == sending.size()) {
            sending = std::exchange(waiting, {});
            sent = 0;
            if (stream.paused() && !ended) stream.receive();
        }
        if (!sending.empty()) {
            stream.send(as_bytes(sending).subspan(sent));
        } else if (ended) {
            stream.close();
        }
    }

    static constexpr std::size_t waiting_bytes_max = 64 * 1024;
    EchoServer& server;
    std::uint64_t number;
    Stream stream;
    std::string waiting;
    std::string sending;  ///< stays in place while the kernel has it
    std::size_t sent = 0;
    bool ended = false;
};

EchoServer::EchoServer(Reactor& reactor) noexcept
    : reactor_(reactor), listener_(reactor, *this), gone_(reactor) {}
EchoServer::~EchoServer() = default;

Task<Result<Endpoint>> EchoServer::listen(Endpoint endpoint) {
    Result<Endpoint> bound = co_await listener_.listen(endpoint);
    if (bound) listener_.accept();
    co_return bound;
}

void EchoServer::on_accepted(std::int32_t fd) noexcept {
    if (taker_) return taker_(fd);
    adopt(fd);
}

void EchoServer::adopt(std::int32_t fd) {
    const std::uint64_t number = ++accepted_;
    const auto at = sessions_.emplace(number, std::make_unique<Session>(*this, number, fd)).first;
    at->second->stream.receive();
    if (gone_.is_set()) at->second->stream.close();
}

void EchoServer::on_accept_error(std::int32_t error) noexcept {
    ADD_FAILURE() << "accept: " << error;
}

void EchoServer::on_listener_closed() noexcept {
    listener_closed_ = true;
    if (sessions_.empty()) gone_.set();
}

void EchoServer::forget(std::uint64_t session) {
    sessions_.erase(session);
    if (listener_closed_ && sessions_.empty()) gone_.set();
}

Task<void> EchoServer::close() {
    listener_.close();
    for (auto& [number, session] : sessions_) session->stream.close();
    co_await gone_.wait();
}

namespace {

struct EchoClient final : Stream::Handler {
    EchoClient(Reactor& reactor, std::int32_t fd, std::string d, std::uint64_t seed)
        : data(std::move(d)),
          prng(seed),
          stream(reactor, fd, *this),
          done(reactor),
          gone(reactor) {}

    void on_received(Bytes bytes) noexcept override {
        const std::string_view expected = std::string_view(data).substr(received, bytes.size());
        if (as_text(bytes) != expected) wrong = true;
        received += bytes.size();
        if (received >= data.size()) done.set();
        // Sometimes be slow, so that the other side meets back-pressure.
        if (prng.below(16) == 0) {
            stream.pause();
            paused = true;
        }
    }
    void on_sent(std::size_t bytes) noexcept override {
        sent += bytes;
        send_more();
    }
    void on_ended(std::int32_t e) noexcept override {
        error = e;
        ended = true;
        done.set();
    }
    void on_closed() noexcept override { gone.set(); }

    void send_more() {
        if (paused) stream.receive();
        paused = false;
        if (sent == data.size() && ends_its_half && !half_ended && !stream.closing()) {
            half_ended = true;
            stream.end_sending();
        }
        if (sent == data.size() || stream.closing()) return;
        const auto piece = static_cast<std::size_t>(prng.between(1, data.size() - sent));
        stream.send(as_bytes(data).subspan(sent, piece));
    }

    std::string data;
    Prng prng;
    Stream stream;
    Event done;
    Event gone;
    std::size_t sent = 0;
    std::size_t received = 0;
    std::int32_t error = 0;
    bool wrong = false;
    bool paused = false;
    bool ended = false;
    bool ends_its_half = false;
    bool half_ended = false;
};

}  // namespace

Task<void> echo_client(Reactor& reactor, Endpoint server, std::size_t bytes, std::uint64_t seed,
                       EchoResult* result) {
    const Result<std::int32_t> fd = co_await connect_to(reactor, server);
    if (!fd) co_return;
    result->connected = true;
    EchoClient client(reactor, *fd, pattern(bytes, seed), seed);
    client.stream.receive();
    client.send_more();
    while (!client.done.is_set()) {
        if (client.paused) {
            client.paused = false;
            client.stream.receive();
        }
        co_await SleepAwaiter(reactor, 1ms);
    }
    result->received = client.received;
    result->error = client.error;
    result->wrong = client.wrong;
    client.stream.close();
    co_await client.gone.wait();
}

Task<void> half_close_scene(Reactor& reactor, Endpoint address, std::size_t bytes) {
    EchoServer server(reactor);
    const Result<Endpoint> bound = co_await server.listen(address);
    EXPECT_TRUE(bound.has_value());
    if (!bound) co_return;
    const Result<std::int32_t> fd = co_await connect_to(reactor, *bound);
    EXPECT_TRUE(fd.has_value());
    if (!fd) co_return;
    EchoClient client(reactor, *fd, pattern(bytes, 5), 5);
    client.ends_its_half = true;
    client.stream.receive();
    client.send_more();
    while (!client.ended) {
        if (client.paused) {
            client.paused = false;
            client.stream.receive();
        }
        co_await SleepAwaiter(reactor, 1ms);
    }
    EXPECT_EQ(client.received, bytes);
    EXPECT_EQ(client.error, 0);
    EXPECT_FALSE(client.wrong);
    client.stream.close();
    co_await client.gone.wait();
    co_await server.close();
}

namespace {

Task<void> counted_client(Reactor& reactor, Endpoint server, std::size_t bytes, std::uint64_t seed,
                          std::uint32_t* left, Event* done) {
    EchoResult result;
    co_await echo_client(reactor, server, bytes, seed, &result);
    EXPECT_TRUE(result.connected);
    EXPECT_FALSE(result.wrong);
    EXPECT_EQ(result.error, 0);
    EXPECT_EQ(result.received, bytes);
    if (--*left == 0) done->set();
}

}  // namespace

Task<void> echo_scene(Reactor& reactor, Endpoint address, std::uint32_t clients,
                      std::size_t bytes) {
    EchoServer server(reactor);
    const Result<Endpoint> bound = co_await server.listen(address);
    EXPECT_TRUE(bound.has_value());
    if (!bound) co_return;
    EXPECT_NE(bound->port, 0);
    Event done(reactor);
    std::uint32_t left = clients;
    for (std::uint32_t i = 0; i < clients; ++i)
        reactor.spawn(counted_client(reactor, *bound, bytes, i + 1, &left, &done));
    co_await done.wait();
    EXPECT_EQ(server.accepted(), clients);
    co_await server.close();
    EXPECT_EQ(server.sessions(), 0u);
    EchoResult refused;
    co_await echo_client(reactor, *bound, 1, 1, &refused);
    EXPECT_FALSE(refused.connected);
}

}  // namespace kv::io::scenes
