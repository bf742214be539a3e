#include "io/uring/uring_backend.h"

#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>

namespace kv::io {

namespace {

constexpr int listen_backlog = 1024;
/// Completions of cancel requests, and doorbells: nobody waits for them.
constexpr std::uint64_t nobody = 0;
/// User data of a doorbell that could not be rung, plus the core: no address is that low.
constexpr std::uint64_t doorbell_failed = 1;
constexpr std::uint64_t lowest_address = 4096;
/// Entries of the kernel in one poll: it hands out about twenty deferred completions in each.
constexpr int entries_per_poll_max = 64;

socklen_t to_sockaddr(const Endpoint& endpoint, sockaddr_storage& out) noexcept {
    out = {};
    if (endpoint.v6) {
        auto* in6 = reinterpret_cast<sockaddr_in6*>(&out);
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(endpoint.port);
        std::memcpy(&in6->sin6_addr, endpoint.address.data(), 16);
        return sizeof *in6;
    }
    auto* in = reinterpret_cast<sockaddr_in*>(&out);
    in->sin_family = AF_INET;
    in->sin_port = htons(endpoint.port);
    std::memcpy(&in->sin_addr, endpoint.address.data(), 4);
    return sizeof *in;
}

void set_option(int fd, int level, int name, int value) noexcept {
    setsockopt(fd, level, name, &value, sizeof value);
}

std::int32_t listen_now(Endpoint& endpoint) noexcept {
    const int fd = socket(endpoint.v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    // Accepted sockets inherit these two.
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    sockaddr_storage address;
    socklen_t length = to_sockaddr(endpoint, address);
    if (bind(fd, reinterpret_cast<sockaddr*>(&address), length) < 0 ||
        ::listen(fd, listen_backlog) < 0 ||
        getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) < 0) {
        const int error = errno;
        ::close(fd);
        return -error;
    }
    endpoint.port = ntohs(endpoint.v6 ? reinterpret_cast<sockaddr_in6*>(&address)->sin6_port
                                      : reinterpret_cast<sockaddr_in*>(&address)->sin_port);
    return fd;
}

std::int32_t list_now(const char* path, std::vector<std::string>& names) {
    DIR* directory = opendir(path);
    if (directory == nullptr) return -errno;
    while (const dirent* entry = readdir(directory)) {
        const std::string_view name = entry->d_name;
        if (name != "." && name != "..") names.emplace_back(name);
    }
    closedir(directory);
    std::sort(names.begin(), names.end());
    return 0;
}

std::int32_t stat_now(const char* path, FileInfo& info) noexcept {
    struct stat status;
    if (::stat(path, &status) < 0) return -errno;
    info.bytes = static_cast<std::uint64_t>(status.st_size);
    info.directory = S_ISDIR(status.st_mode);
    return 0;
}

/// The descriptor is connected by the ring; it is made here, and closed again on failure.
std::int32_t stream_socket(const Endpoint& endpoint) noexcept {
    const int fd = socket(endpoint.v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    return fd;
}

int open_flags(std::uint32_t flags) noexcept {
    int result = O_CLOEXEC;
    if ((flags & open_directory) != 0) return result | O_RDONLY | O_DIRECTORY;
    result |= (flags & open_write) != 0 ? O_RDWR : O_RDONLY;
    if ((flags & open_create) != 0) result |= O_CREAT;
    if ((flags & open_exclusive) != 0) result |= O_EXCL;
    if ((flags & open_direct) != 0) result |= O_DIRECT;
    return result;
}

bool is_sync(const OpRequest& request) noexcept {
    return request.code == OpCode::sync ||
           (request.code == OpCode::write && (request.flags & write_dsync) != 0);
}

}  // namespace

Result<std::unique_ptr<UringBackend>> UringBackend::create(const UringOptions& options) {
    std::unique_ptr<UringBackend> backend(new UringBackend);
    KV_CHECK(backend->ring_.open(options));
    return backend;
}

void UringBackend::start(Op& op) {
    const OpRequest& request = op.request();
    // The liburing helpers clear user_data, so it is set last.
    switch (request.code) {
        case OpCode::listen: return complete_later(op, listen_now(*request.endpoint));
        case OpCode::lock:
            return complete_later(op, flock(request.fd, LOCK_EX | LOCK_NB) < 0 ? -errno : 0);
        case OpCode::list:
            return complete_later(
                op, list_now(request.path, *static_cast<std::vector<std::string>*>(request.out)));
        case OpCode::stat:
            return complete_later(op, stat_now(request.path, *static_cast<FileInfo*>(request.out)));
        case OpCode::connect: {
            const std::int32_t fd = stream_socket(*request.endpoint);
            if (fd < 0) return complete_later(op, fd);
            slot(op) = static_cast<std::uint64_t>(fd);
            sockaddr_storage address;
            const socklen_t length = to_sockaddr(*request.endpoint, address);
            io_uring_sqe* sqe = ring_.entry();
            io_uring_prep_connect(sqe, fd, reinterpret_cast<sockaddr*>(&address), length);
            io_uring_sqe_set_data(sqe, &op);
            ring_.enter(Duration::zero());  // the kernel copies the address: it is on this stack
            return;
        }
        default: break;
    }
    io_uring_sqe* sqe = ring_.entry();
    switch (request.code) {
        case OpCode::open:
            io_uring_prep_openat(sqe, AT_FDCWD, request.path, open_flags(request.flags), 0640);
            break;
        case OpCode::close: io_uring_prep_close(sqe, request.fd); break;
        case OpCode::read:
            io_uring_prep_read(sqe, request.fd, request.data, request.bytes, request.offset);
            break;
        case OpCode::write:
            io_uring_prep_write(sqe, request.fd, request.data, request.bytes, request.offset);
            if ((request.flags & write_dsync) != 0) sqe->rw_flags = RWF_DSYNC;
            break;
        case OpCode::sync: io_uring_prep_fsync(sqe, request.fd, IORING_FSYNC_DATASYNC); break;
        case OpCode::allocate:
            io_uring_prep_fallocate(sqe, request.fd, 0, 0, static_cast<off_t>(request.offset));
            break;
        case OpCode::punch:
            io_uring_prep_fallocate(sqe, request.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                    static_cast<off_t>(request.offset),
                                    static_cast<off_t>(request.bytes));
            break;
        case OpCode::rename:
            io_uring_prep_renameat(sqe, AT_FDCWD, request.path, AT_FDCWD, request.path2, 0);
            break;
        case OpCode::unlink: io_uring_prep_unlinkat(sqe, AT_FDCWD, request.path, 0); break;
        case OpCode::make_directory:
            io_uring_prep_mkdirat(sqe, AT_FDCWD, request.path, 0750);
            break;
        case OpCode::accept:
            io_uring_prep_multishot_accept(sqe, request.fd, nullptr, nullptr, SOCK_CLOEXEC);
            break;
        case OpCode::receive:
            io_uring_prep_recv_multishot(sqe, request.fd, nullptr, 0, 0);
            sqe->flags |= IOSQE_BUFFER_SELECT;
            sqe->buf_group = Ring::buffer_group;
            break;
        case OpCode::send:
            io_uring_prep_send(sqe, request.fd, request.data, request.bytes, MSG_NOSIGNAL);
            break;
        case OpCode::end_sending: io_uring_prep_shutdown(sqe, request.fd, SHUT_WR); break;
        case OpCode::listen:
        case OpCode::lock:
        case OpCode::list:
        case OpCode::stat:
        case OpCode::connect: KV_UNREACHABLE("started above");
    }
    if (is_sync(request)) ++syncs_in_flight_;
    io_uring_sqe_set_data(sqe, &op);
}

void UringBackend::request_cancel(Op& op) {
    io_uring_sqe* sqe = ring_.entry();
    io_uring_prep_cancel(sqe, &op, 0);
    sqe->user_data = nobody;
}

void UringBackend::wake(CoreId core) {
    KV_ASSERT(core.value() < peers_.size());
    io_uring_sqe* sqe = ring_.entry();
    // A completion in the other ring that means nothing but ends its wait.
    io_uring_prep_msg_ring(sqe, peers_[core.value()], 0, nobody, 0);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    sqe->user_data = doorbell_failed + core.value();
}

void UringBackend::on_doorbell_failed(std::uint64_t user_data, std::int32_t result) {
    const CoreId core(static_cast<std::uint16_t>(user_data - doorbell_failed));
    // Other errors: that ring is full of completions and so does not wait, or it is gone because
    // the node is being stopped.
    if (result == -EAGAIN || result == -EINTR || result == -ENOMEM) wake(core);
}

std::size_t UringBackend::deliver_done() {
    if (done_.empty()) return 0;
    delivering_.swap(done_);
    for (const Done& done : delivering_) complete(*done.op, done.result, {});
    const std::size_t count = delivering_.size();
    delivering_.clear();
    return count;
}

unsigned UringBackend::deliver_completions(Instant until) {
    return ring_.drain(
        [this](std::uint64_t user_data, std::int32_t result, std::uint32_t flags) {
            if (user_data == nobody) return;
            if (user_data < lowest_address) return on_doorbell_failed(user_data, result);
            Op& op = *reinterpret_cast<Op*>(user_data);
            const OpRequest& request = op.request();
            if (is_sync(request)) --syncs_in_flight_;
            if (request.code == OpCode::connect) {
                const auto fd = static_cast<std::int32_t>(slot(op));
                if (result < 0) ::close(fd);
                if (result >= 0) result = fd;
            }
            Completion completion;
            completion.more = (flags & IORING_CQE_F_MORE) != 0;
            completion.has_buffer = (flags & IORING_CQE_F_BUFFER) != 0;
            completion.buffer_id = static_cast<std::uint16_t>(flags >> IORING_CQE_BUFFER_SHIFT);
            complete(op, result, completion);
        },
        [this, until] { return now() < until; });
}

std::size_t UringBackend::poll(Duration wait_max, Instant& time) {
    // The last poll may have left some.
    if (!done_.empty() || ring_.has_completions()) wait_max = Duration::zero();
    // The flush behind a synced write may be issued by a kernel worker bound to this very core, and
    // a reactor that never sleeps would starve it for a whole scheduler slice.
    if (wait_max == Duration::zero() && syncs_in_flight_ > 0) sched_yield();
    // Looking for work without sleeping looks into memory only.
    const bool look_only = wait_max == Duration::zero() && done_.empty() && !ring_.entry_needed();
    if (!look_only) ring_.enter(wait_max);
    time = now();
    const Instant until = time + delivery_max;
    std::size_t count = deliver_done();
    count += deliver_completions(until);
    for (int entries = 1; entries < entries_per_poll_max && ring_.more_waits(); ++entries) {
        if (now() >= until) break;
        ring_.enter(Duration::zero());
        count += deliver_completions(until);
    }
    return count;
}

Instant UringBackend::now() noexcept {
    timespec time{};
    clock_gettime(CLOCK_MONOTONIC, &time);
    return Instant(Duration(std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec));
}

Endpoint UringBackend::endpoint_of(std::int32_t fd, bool peer) noexcept {
    sockaddr_storage address{};
    socklen_t length = sizeof address;
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    Endpoint out;
    if ((peer ? getpeername(fd, generic, &length) : getsockname(fd, generic, &length)) != 0) {
        return out;  // it is gone already
    }
    out.v6 = address.ss_family == AF_INET6;
    if (out.v6) {
        const auto* in6 = reinterpret_cast<const sockaddr_in6*>(&address);
        std::memcpy(out.address.data(), &in6->sin6_addr, sizeof in6->sin6_addr);
        out.port = ntohs(in6->sin6_port);
    } else {
        const auto* in = reinterpret_cast<const sockaddr_in*>(&address);
        std::memcpy(out.address.data(), &in->sin_addr, sizeof in->sin_addr);
        out.port = ntohs(in->sin_port);
    }
    return out;
}

Duration UringBackend::cpu_time() noexcept {
    timespec time{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

std::int64_t UringBackend::wall_ns() noexcept {
    timespec time{};
    clock_gettime(CLOCK_REALTIME, &time);
    return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

void UringBackend::fill_entropy(MutableBytes out) noexcept {
    std::size_t done = 0;
    while (done < out.size()) {
        const ssize_t got = getrandom(out.data() + done, out.size() - done, 0);
        KV_ASSERT(got > 0 || errno == EINTR);
        if (got > 0) done += static_cast<std::size_t>(got);
    }
}

}  // namespace kv::io
