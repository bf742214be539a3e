#pragma once

/// Op: one operation handed to the kernel or to the simulator, and THE seam between the program and
/// the world. Everything that waits for a disk or a network is an Op.

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "io/endpoint.h"
#include "proto/base/assert.h"

namespace kv::io {

enum class OpCode : std::uint8_t {
    // Files. Paths are null-terminated and live until the completion.
    open,      ///< path, flags (OpenFlag) -> descriptor
    close,     ///< fd -> 0
    read,      ///< fd, offset, data, bytes -> bytes read; 0 at the end
    write,     ///< fd, offset, data, bytes, flags (WriteFlag) -> bytes written, perhaps fewer
    sync,      ///< fd: data and the size are durable on completion (fdatasync); also directories
    allocate,  ///< fd, offset: reserves so many bytes from 0; the size is at least that afterwards
    punch,     ///< fd, offset, bytes: that range reads as zeros, its blocks are given back
    rename,    ///< path -> path2, replaces; durable after a sync of the directory
    unlink,    ///< path
    make_directory,  ///< path
    list,            ///< path, out (std::vector<std::string>*): names in byte order
    stat,            ///< path, out (FileInfo*)
    lock,            ///< fd: exclusive advisory lock until close; -EWOULDBLOCK when held elsewhere
    // Sockets.
    listen,   ///< endpoint in, with port 0 replaced by the bound one -> descriptor
    accept,   ///< fd; multishot: each completion with `more` is a descriptor
    connect,  ///< endpoint -> descriptor
    receive,  ///< fd; multishot: each completion brings a provided buffer; 0 at the end
    send,     ///< fd, data, bytes -> bytes taken, perhaps fewer
    /// fd: the peer gets what was sent, then the end of the stream; it may still send.
    end_sending,
};

enum OpenFlag : std::uint32_t {
    open_write = 1,      ///< read and write; otherwise read only
    open_create = 2,     ///< create if absent
    open_exclusive = 4,  ///< with create: fail if present
    open_direct = 8,     ///< O_DIRECT: addresses, offsets and lengths are multiples of block_bytes
    open_directory = 16,
};

enum WriteFlag : std::uint32_t {
    write_dsync = 1,  ///< the completion also promises that the data is durable (RWF_DSYNC)
};

/// Alignment of direct input and output, and the unit of WAL batches.
inline constexpr std::size_t block_bytes = 4096;

struct FileInfo {
    std::uint64_t bytes = 0;
    bool directory = false;
};

struct OpRequest {
    OpCode code = OpCode::close;
    std::uint32_t flags = 0;
    std::int32_t fd = -1;
    std::uint32_t bytes = 0;
    std::uint64_t offset = 0;
    std::byte* data = nullptr;  ///< read from by write and send
    const char* path = nullptr;
    const char* path2 = nullptr;
    Endpoint* endpoint = nullptr;
    void* out = nullptr;
};

/// What a completion brings besides its result.
struct Completion {
    bool more = false;        ///< multishot: the operation stays in flight
    bool has_buffer = false;  ///< receive: `buffer_id` holds `result` bytes; recycle it soon
    std::uint16_t buffer_id = 0;
};

/// One operation. The backend keeps its address until the last completion (no `more`), so it never
/// moves. Owner core only. The hot path derives from it directly; OpAwaiter (io/await.h) lets a
/// coroutine wait for one. `result` is not negative, or a negated errno value.
class Op {
public:
    using Complete = void (*)(Op& op, std::int32_t result, Completion completion) noexcept;

    explicit Op(Complete complete) noexcept : complete_(complete) {}
    Op(OpRequest request, Complete complete) noexcept : request_(request), complete_(complete) {}
    Op(const Op&) = delete;
    Op& operator=(const Op&) = delete;
    ~Op() { KV_ASSERT(!in_flight_, "the kernel would write into freed memory"); }

    const OpRequest& request() const noexcept { return request_; }
    /// Only while not in flight.
    void set_request(OpRequest request) noexcept {
        KV_ASSERT(!in_flight_);
        request_ = request;
    }
    bool in_flight() const noexcept { return in_flight_; }

private:
    friend class Backend;
    OpRequest request_;
    Complete complete_;
    std::uint64_t backend_slot_ = 0;  ///< free for the backend while in flight
    bool in_flight_ = false;
};

}  // namespace kv::io
