/// The io_uring backend against the real kernel: first the scenes that every backend plays, then
/// what is peculiar to a ring.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "io/await.h"
#include "io/frame_pool.h"
#include "io/uring/uring_backend.h"
#include "tests/support/io_scenes.h"
#include "tests/support/temporary_directory.h"

namespace kv::io {
namespace {

/// Only what is broken ever waits for it.
constexpr Duration patience = 30s;

/// A ring, and a reactor on it.
struct Machine {
    explicit Machine(const UringOptions& options = {})
        : backend(made(options)), reactor(*backend) {}

    static std::unique_ptr<UringBackend> made(const UringOptions& options) {
        auto result = UringBackend::create(options);
        KV_ASSERT(result.has_value(), "{}", result.error().text());
        return *std::move(result);
    }
    /// Turns until `done` says so. False: patience ended before.
    template <typename Done>
    bool turn_until(Done done) {
        const Instant deadline = backend->now() + patience;
        while (!done() && backend->now() < deadline) reactor.turn(10ms);
        return done();
    }
    bool run(Task<void> task) {
        bool done = false;
        reactor.spawn(then_set(std::move(task), &done));
        return turn_until([&] { return done; });
    }
    static Task<void> then_set(Task<void> task, bool* done) {
        co_await std::move(task);
        *done = true;
    }

    std::unique_ptr<UringBackend> backend;
    Reactor reactor;
};

/// An operation that keeps what its completions bring.
struct Recorder : Op {
    Recorder() noexcept : Op(&Recorder::completed) {}
    explicit Recorder(Complete complete) noexcept : Op(complete) {}

    static void completed(Op& op, std::int32_t result, Completion completion) noexcept {
        auto& self = static_cast<Recorder&>(op);
        self.results.push_back(result);
        if (completion.has_buffer) self.buffers.push_back(completion.buffer_id);
    }
    void submit(Machine& machine, const OpRequest& request) {
        set_request(request);
        machine.backend->submit(*this);
    }
    /// Submits, and returns the result of the last completion.
    std::int32_t run(Machine& machine, const OpRequest& request) {
        submit(machine, request);
        EXPECT_TRUE(machine.turn_until([&] { return !in_flight(); }));
        return results.empty() ? 0 : results.back();
    }

    std::vector<std::int32_t> results;
    std::vector<std::uint16_t> buffers;
};

OpRequest request_for(OpCode code, std::int32_t fd) {
    OpRequest request;
    request.code = code;
    request.fd = fd;
    return request;
}

struct SocketPair {
    SocketPair() {
        KV_ASSERT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
    }
    ~SocketPair() {
        for (const int end : ends) ::close(end);
    }
    void write(std::string_view bytes) const {
        KV_ASSERT(::write(ends[1], bytes.data(), bytes.size()) ==
                  static_cast<ssize_t>(bytes.size()));
    }
    std::array<int, 2> ends{};
};

std::size_t open_descriptors() {
    const std::filesystem::directory_iterator all("/proc/self/fd");
    return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

Endpoint loopback(std::uint16_t port = 0) {
    return *parse_endpoint("127.0.0.1", port);
}

// --- the scenes ----------------------------------------------------------------------------------

class Uring : public testing::Test {
protected:
    void TearDown() override {
        EXPECT_EQ(FramePool::live(), 0);
        EXPECT_EQ(open_descriptors(), descriptors_);
    }
    const std::size_t descriptors_ = open_descriptors();
    test::TemporaryDirectory directory_;
};

TEST_F(Uring, FilesBehave) {
    Machine machine;
    EXPECT_TRUE(machine.run(scenes::file_scene(machine.reactor, directory_ / "data")));
}

TEST_F(Uring, DirectInputAndOutputBehave) {
    Machine machine;
    EXPECT_TRUE(machine.run(scenes::direct_scene(machine.reactor, directory_.path())));
}

TEST_F(Uring, EchoesComeBack) {
    Machine machine;
    EXPECT_TRUE(machine.run(scenes::echo_scene(machine.reactor, loopback(), 20, 300'000)));
}

TEST_F(Uring, AHalfClosedStreamStillBringsReplies) {
    Machine machine;
    EXPECT_TRUE(machine.run(scenes::half_close_scene(machine.reactor, loopback(), 300'000)));
}

TEST_F(Uring, EchoesComeBackOverIpv6) {
    Machine machine;
    EXPECT_TRUE(
        machine.run(scenes::echo_scene(machine.reactor, *parse_endpoint("::1", 0), 3, 100)));
}

TEST_F(Uring, EchoesComeBackThroughFewBuffers) {
    for (const unsigned buffers : {2u, 4u}) {
        Machine machine({.buffers = buffers, .buffer_bytes = 512});
        EXPECT_TRUE(machine.run(scenes::echo_scene(machine.reactor, loopback(), 10, 50'000)));
    }
}

TEST_F(Uring, EchoesComeBackThroughTinyRings) {
    Machine machine({.submissions = 2, .completions = 4});
    EXPECT_TRUE(machine.run(scenes::echo_scene(machine.reactor, loopback(), 30, 20'000)));
}

// --- receiving -----------------------------------------------------------------------------------

TEST_F(Uring, ReceiveWithoutFreeBuffersEndsAndCanBeArmedAgain) {
    Machine machine({.buffers = 2, .buffer_bytes = 8});
    const SocketPair sockets;
    sockets.write("aaaaaaaabbbbbbbbcccccccc");
    Recorder receive;
    receive.run(machine, request_for(OpCode::receive, sockets.ends[0]));
    EXPECT_EQ(receive.results, (std::vector<std::int32_t>{8, 8, -ENOBUFS}));
    ASSERT_EQ(receive.buffers.size(), 2u);
    EXPECT_EQ(
        std::string_view(reinterpret_cast<char*>(machine.backend->buffer(receive.buffers[1])), 8),
        "bbbbbbbb");
    machine.backend->recycle(receive.buffers[0]);

    receive.submit(machine, request_for(OpCode::receive, sockets.ends[0]));
    EXPECT_TRUE(machine.turn_until([&] { return receive.buffers.size() == 3; }));
    EXPECT_EQ(
        std::string_view(reinterpret_cast<char*>(machine.backend->buffer(receive.buffers[2])), 8),
        "cccccccc");
    machine.backend->cancel(receive);
    EXPECT_TRUE(machine.turn_until([&] { return !receive.in_flight(); }));
}

TEST_F(Uring, ReceiveTellsTheEndOfTheStreamOnce) {
    Machine machine;
    const SocketPair sockets;
    sockets.write("last");
    shutdown(sockets.ends[1], SHUT_WR);
    Recorder receive;
    EXPECT_EQ(receive.run(machine, request_for(OpCode::receive, sockets.ends[0])), 0);
    EXPECT_EQ(receive.results, (std::vector<std::int32_t>{4, 0}));
}

// --- cancelling ----------------------------------------------------------------------------------

TEST_F(Uring, CancelEndsAnOperationWithOneCompletion) {
    Machine machine;
    const SocketPair sockets;
    std::array<std::byte, 8> bytes{};
    OpRequest read = request_for(OpCode::read, sockets.ends[0]);
    read.offset = ~std::uint64_t{0};
    read.data = bytes.data();
    read.bytes = bytes.size();
    for (const OpRequest& request : {request_for(OpCode::receive, sockets.ends[0]), read}) {
        Recorder waiting;
        machine.backend->cancel(waiting);  // not in flight: nothing happens
        waiting.submit(machine, request);
        machine.reactor.turn(0ms);
        EXPECT_TRUE(waiting.in_flight());
        machine.backend->cancel(waiting);
        machine.backend->cancel(waiting);  // asked twice, ended once
        EXPECT_TRUE(waiting.results.empty()) << "completed inline";
        EXPECT_TRUE(machine.turn_until([&] { return !waiting.in_flight(); }));
        EXPECT_EQ(waiting.results.size(), 1u);
        EXPECT_TRUE(waiting.results[0] == -ECANCELED || waiting.results[0] == -EINTR);
    }
}

TEST_F(Uring, CancelBeforeTheKernelSawItWorksToo) {
    Machine machine;
    const SocketPair sockets;
    Recorder waiting;
    waiting.submit(machine, request_for(OpCode::receive, sockets.ends[0]));
    machine.backend->cancel(waiting);
    EXPECT_TRUE(machine.turn_until([&] { return !waiting.in_flight(); }));
    EXPECT_EQ(waiting.results, std::vector<std::int32_t>{-ECANCELED});
}

// --- connecting ----------------------------------------------------------------------------------

TEST_F(Uring, OneAcceptBringsManyConnections) {
    constexpr std::size_t clients = 50;
    Machine machine;
    Endpoint endpoint = loopback();
    OpRequest listen = request_for(OpCode::listen, -1);
    listen.endpoint = &endpoint;
    Recorder listening;
    const std::int32_t listener = listening.run(machine, listen);
    ASSERT_GE(listener, 0);
    Recorder accept;
    accept.submit(machine, request_for(OpCode::accept, listener));
    std::vector<Recorder> connects(clients);
    for (Recorder& connect : connects) {
        OpRequest request = request_for(OpCode::connect, -1);
        request.endpoint = &endpoint;
        connect.submit(machine, request);
    }
    const auto all_connected = [&] {
        return accept.results.size() == clients &&
               std::all_of(connects.begin(), connects.end(),
                           [](const Recorder& c) { return !c.in_flight(); });
    };
    EXPECT_TRUE(machine.turn_until(all_connected));
    EXPECT_TRUE(accept.in_flight());
    for (const std::int32_t fd : accept.results) EXPECT_EQ(::close(fd), 0);
    for (const Recorder& connect : connects) EXPECT_EQ(::close(connect.results.at(0)), 0);
    machine.backend->cancel(accept);
    EXPECT_TRUE(machine.turn_until([&] { return !accept.in_flight(); }));
    EXPECT_EQ(accept.results.back(), -ECANCELED);
    ::close(listener);
}

Task<void> connect_where_nobody_listens(Reactor& reactor) {
    std::uint16_t free_port = 0;
    {
        scenes::EchoServer server(reactor);
        const Result<Endpoint> bound = co_await server.listen(loopback());
        free_port = bound->port;
        co_await server.close();
    }
    const Result<std::int32_t> refused = co_await connect_to(reactor, loopback(free_port));
    EXPECT_FALSE(refused.has_value());
    if (refused) co_return;
    EXPECT_EQ(refused.error().code, Errc::io);
    EXPECT_NE(refused.error().text().find("Connection refused"), std::string::npos);
    EXPECT_NE(refused.error().text().find(loopback(free_port).text()), std::string::npos);
}

TEST_F(Uring, ARefusedConnectionSaysSoAndLeavesNoDescriptor) {
    Machine machine;
    EXPECT_TRUE(machine.run(connect_where_nobody_listens(machine.reactor)));
}

TEST_F(Uring, APortInUseIsAnError) {
    Machine machine;
    Endpoint endpoint = loopback();
    OpRequest listen = request_for(OpCode::listen, -1);
    listen.endpoint = &endpoint;
    Recorder first;
    const std::int32_t listener = first.run(machine, listen);
    Recorder second;
    EXPECT_EQ(second.run(machine, listen), -EADDRINUSE);  // the endpoint has the bound port now
    ::close(listener);
}

// --- files ---------------------------------------------------------------------------------------

TEST_F(Uring, AReadAtTheEndIsShort) {
    Machine machine;
    const std::string path = directory_ / "ten";
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    ASSERT_EQ(::write(fd, "0123456789", 10), 10);
    std::array<std::byte, 64> bytes{};
    OpRequest read = request_for(OpCode::read, fd);
    read.data = bytes.data();
    read.bytes = bytes.size();
    Recorder reading;
    EXPECT_EQ(reading.run(machine, read), 10);
    read.offset = 7;
    EXPECT_EQ(reading.run(machine, read), 3);
    EXPECT_EQ(as_text(Bytes(bytes).first(3)), "789");
    read.offset = 10;
    EXPECT_EQ(reading.run(machine, read), 0);
    ::close(fd);
}

TEST_F(Uring, ALockHeldTwiceIsRefusedUntilItIsGivenBack) {
    Machine machine;
    const std::string path = directory_ / "LOCK";
    const int first = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    const int second = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
    Recorder lock;
    EXPECT_EQ(lock.run(machine, request_for(OpCode::lock, first)), 0);
    EXPECT_EQ(lock.run(machine, request_for(OpCode::lock, second)), -EWOULDBLOCK);
    EXPECT_EQ(lock.run(machine, request_for(OpCode::close, first)), 0);
    EXPECT_EQ(lock.run(machine, request_for(OpCode::lock, second)), 0);
    ::close(second);
}

TEST_F(Uring, NamesAreListedInByteOrder) {
    Machine machine;
    const std::vector<std::string> sorted{"10", "9", "B", "a", "b", "\xc3\xa9"};
    for (const auto& name : {sorted[4], sorted[0], sorted[5], sorted[2], sorted[1], sorted[3]}) {
        const int fd = ::open((directory_ / name).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        ASSERT_EQ(::close(fd), 0);
    }
    std::vector<std::string> names;
    OpRequest list = request_for(OpCode::list, -1);
    list.path = directory_.path().c_str();
    list.out = &names;
    Recorder listing;
    EXPECT_EQ(listing.run(machine, list), 0);
    EXPECT_EQ(names, sorted);
    const std::string missing = directory_ / "missing";
    list.path = missing.c_str();
    EXPECT_EQ(listing.run(machine, list), -ENOENT);
}

Task<void> write_where_no_room_is(Reactor& reactor) {
    Result<File> full = co_await File::open(reactor, "/dev/full", open_write);
    EXPECT_TRUE(full.has_value());
    if (!full) co_return;
    const Status written = co_await full->write_at(0, as_bytes("x"), false);
    EXPECT_TRUE(!written && written.error().code == Errc::no_space);
    co_await full->close();
}

TEST_F(Uring, AFullDiskIsToldFromOtherErrors) {
    Machine machine;
    EXPECT_TRUE(machine.run(write_where_no_room_is(machine.reactor)));
}

// --- the ring ------------------------------------------------------------------------------------

TEST_F(Uring, MoreOperationsThanTheRingsHoldAllComplete) {
    constexpr std::size_t operations = 2'000;
    Machine machine({.submissions = 4, .completions = 8});
    const std::string path = directory_ / "file";
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    const std::string text = scenes::pattern(operations, 1);
    std::vector<Recorder> writes(operations);
    for (std::size_t i = 0; i < operations; ++i) {
        OpRequest write = request_for(OpCode::write, fd);
        write.offset = i;
        write.data = reinterpret_cast<std::byte*>(const_cast<char*>(&text[i]));
        write.bytes = 1;
        writes[i].submit(machine, write);
    }
    const auto all_done = [&] {
        return std::all_of(writes.begin(), writes.end(),
                           [](const Recorder& w) { return !w.in_flight(); });
    };
    EXPECT_TRUE(machine.turn_until(all_done));
    for (const Recorder& write : writes) EXPECT_EQ(write.results, std::vector<std::int32_t>{1});
    std::string back(operations, '\0');
    EXPECT_EQ(::pread(fd, back.data(), back.size(), 0), static_cast<ssize_t>(operations));
    EXPECT_TRUE(back == text);
    ::close(fd);
}

TEST_F(Uring, ACompletionIsNotDatedBeforeTheWaitForIt) {
    struct Dated : Recorder {
        static void dated(Op& op, std::int32_t, Completion) noexcept {
            auto& self = static_cast<Dated&>(op);
            self.at = self.reactor->now();
        }
        explicit Dated(Reactor& of) noexcept : Recorder(&Dated::dated), reactor(&of) {}

        Reactor* reactor;
        Instant at{};
    };
    Machine machine;
    SocketPair pair;
    char byte = 0;
    Dated reading(machine.reactor);
    OpRequest request = request_for(OpCode::read, pair.ends[0]);
    request.data = reinterpret_cast<std::byte*>(&byte);
    request.bytes = 1;
    request.offset = ~std::uint64_t{0};  // a stream: no position
    reading.submit(machine, request);
    machine.reactor.turn(0ms);
    const Instant written = machine.backend->now();
    pair.write("x");
    EXPECT_TRUE(machine.turn_until([&] { return !reading.in_flight(); }));
    EXPECT_GE(reading.at, written);
}

TEST_F(Uring, AnIdlePollWaitsAsLongAsItMayAndNoLonger) {
    Machine machine;
    const Instant before = machine.backend->now();
    Instant woken{};
    machine.backend->poll(0ms, woken);
    EXPECT_LT(machine.backend->now() - before, 1s);
    const Instant begun = machine.backend->now();
    machine.backend->poll(50ms, woken);
    EXPECT_GE(woken - begun, 40ms);
    EXPECT_GE(machine.backend->now() - begun, 40ms);
    EXPECT_LT(machine.backend->now() - begun, 10s);
}

TEST_F(Uring, ItSaysWhatIsInUse) {
    Machine machine({.buffers = 4, .buffer_bytes = 512});
    const std::string text = machine.backend->describe();
    EXPECT_TRUE(text.starts_with("io_uring ")) << text;
    EXPECT_NE(text.find("buffers=4x512"), std::string::npos) << text;
}

}  // namespace
}  // namespace kv::io
