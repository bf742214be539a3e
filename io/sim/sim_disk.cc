#include "io/sim/sim_disk.h"

#include <algorithm>
#include <cerrno>

namespace kv::io {

namespace {

bool aligned(const OpRequest& request) noexcept {
    return request.offset % block_bytes == 0 && request.bytes % block_bytes == 0 &&
           reinterpret_cast<std::uintptr_t>(request.data) % block_bytes == 0;
}

}  // namespace

SimDisk::SimDisk(std::uint64_t seed, NodeId node, const SimDiskKnobs& knobs)
    : knobs_(knobs),
      timing_(Prng::split(seed, "disk.timing", node.value())),
      tails_(Prng::split(seed, "disk.tails", node.value())),
      slow_(Prng::split(seed, "disk.slow", node.value())),
      effects_(Prng::split(seed, "disk.effects", node.value())),
      crashes_(Prng::split(seed, "disk.crashes", node.value())) {}

std::size_t SimDisk::add_fault(SimFault fault) {
    faults_.push_back(std::move(fault));
    return faults_.size() - 1;
}

Duration SimDisk::submit(const OpRequest& request, SimDiskTicket& ticket, const SimFds& fds) {
    if (const SimFd* fd = fds.find(request.fd)) ticket.handle = fd->handle;
    ticket.clock = ++clock_;
    Duration latency{};
    switch (request.code) {
        case OpCode::read: latency = knobs_.read.draw(timing_); break;
        case OpCode::write: latency = knobs_.write.draw(timing_); break;
        case OpCode::sync: latency = knobs_.sync.draw(timing_); break;
        case OpCode::open:
        case OpCode::close:
        case OpCode::allocate:
        case OpCode::punch:
        case OpCode::rename:
        case OpCode::unlink:
        case OpCode::make_directory:
        case OpCode::list:
        case OpCode::stat:
        case OpCode::lock: latency = knobs_.name.draw(timing_); break;
        case OpCode::listen:
        case OpCode::accept:
        case OpCode::connect:
        case OpCode::receive:
        case OpCode::send:
        case OpCode::end_sending: KV_UNREACHABLE("not an operation on a disk");
    }
    if (odds(tails_, knobs_.tail_per_million)) latency += knobs_.tail.draw(tails_);
    latency += knobs_.slow.draw(slow_);
    if (!faults_.empty()) strike(request, ticket, latency);
    return latency;
}

void SimDisk::strike(const OpRequest& request, SimDiskTicket& ticket, Duration& latency) {
    std::string_view path;
    if (ticket.handle != nullptr) path = ticket.handle->path;
    if (request.path != nullptr) path = request.path;
    for (SimFault& fault : faults_) {
        if (fault.code != request.code || fault.count == 0) continue;
        if (path.find(fault.path_part) == std::string_view::npos) continue;
        if (fault.skip > 0) {
            --fault.skip;
            continue;
        }
        --fault.count;
        ++fault.hits;
        latency += fault.stall;
        if (fault.error != 0) ticket.error = fault.error;
    }
}

std::int32_t SimDisk::take_effect(const OpRequest& request, SimDiskTicket& ticket, SimFds& fds) {
    // A descriptor is gone whatever its close says; reads, writes and syncs fail in their own ways.
    const bool fails_whole = request.code != OpCode::read && request.code != OpCode::write &&
                             request.code != OpCode::sync && request.code != OpCode::close;
    if (fails_whole && ticket.error != 0) return ticket.error;
    switch (request.code) {
        case OpCode::open: return open(request, ticket, fds);
        case OpCode::close: return close(request, ticket, fds);
        case OpCode::read: return read(request, ticket);
        case OpCode::write: return write(request, ticket);
        case OpCode::sync: return sync(ticket);
        case OpCode::allocate: return allocate(request, ticket);
        case OpCode::punch: return punch(request, ticket);
        case OpCode::rename: return rename(request, ticket);
        case OpCode::unlink: return unlink(request, ticket);
        case OpCode::make_directory: return make_directory(request, ticket);
        case OpCode::list: return list(request);
        case OpCode::stat: return stat(request);
        case OpCode::lock: return lock(ticket);
        case OpCode::listen:
        case OpCode::accept:
        case OpCode::connect:
        case OpCode::receive:
        case OpCode::send:
        case OpCode::end_sending: break;
    }
    KV_UNREACHABLE("not an operation on a disk");
}

void SimDisk::acknowledge(const SimDiskTicket& ticket) noexcept {
    ++clock_;
    if (ticket.file != nullptr) ticket.file->acknowledge(ticket.file_change, clock_);
    if (ticket.name_change != 0) names_.acknowledge(ticket.name_change, clock_);
}

std::uint64_t SimDisk::room_bytes() const noexcept {
    return knobs_.capacity_bytes > used_bytes_ ? knobs_.capacity_bytes - used_bytes_ : 0;
}

void SimDisk::release(SimFile& file) noexcept {
    if (file.links != 0 || file.opens != 0 || file.released) return;
    file.released = true;
    used_bytes_ -= file.visible().size();
}

SimFileRef SimDisk::find_file(std::string_view path) const {
    const SimFileRef* found = names_.find(sim_path(path));
    return found == nullptr ? nullptr : *found;
}

std::int32_t SimDisk::open(const OpRequest& request, SimDiskTicket& ticket, SimFds& fds) {
    std::string path = sim_path(request.path);
    const bool directory = names_.is_directory(path);
    SimFileRef file = find_file(path);
    if ((request.flags & open_directory) != 0) {
        if (!directory) return file == nullptr ? -ENOENT : -ENOTDIR;
    } else if (directory) {
        return -EISDIR;
    } else if (file == nullptr) {
        if ((request.flags & open_create) == 0) return -ENOENT;
        if (!names_.is_directory(sim_parent(path))) return -ENOENT;
        file = std::make_shared<SimFile>(++files_created_);
        file->links = 1;
        files_.push_back(file);
        ticket.name_change = names_.create(path, file);
    } else if ((request.flags & open_exclusive) != 0) {
        return -EEXIST;
    }
    auto handle = std::make_shared<SimHandle>();
    handle->number = ++handles_created_;
    handle->path = std::move(path);
    handle->flags = request.flags;
    handle->file = file;
    if (file != nullptr) ++file->opens;
    SimFd fd;
    fd.kind = SimFd::Kind::file;
    fd.handle = std::move(handle);
    return fds.add(std::move(fd));
}

std::int32_t SimDisk::close(const OpRequest& request, SimDiskTicket& ticket, SimFds& fds) {
    const SimFd* fd = fds.find(request.fd);
    if (ticket.handle == nullptr || fd == nullptr || fd->handle != ticket.handle) return -EBADF;
    fds.remove(request.fd);
    SimFile* file = ticket.handle->file.get();
    if (file == nullptr) return 0;
    if (file->lock_holder == ticket.handle->number) file->lock_holder = 0;
    --file->opens;
    release(*file);
    return ticket.error;
}

/// Part of a transfer, at the odds; direct transfers stop between blocks.
std::uint32_t SimDisk::shorten(std::uint32_t bytes, bool direct) {
    const std::uint32_t unit = direct ? static_cast<std::uint32_t>(block_bytes) : 1;
    const std::uint32_t units = bytes / unit;
    if (units < 2 || !odds(effects_, knobs_.short_per_million)) return bytes;
    return unit * static_cast<std::uint32_t>(effects_.between(1, units - 1));
}

std::int32_t SimDisk::read(const OpRequest& request, const SimDiskTicket& ticket) {
    if (ticket.handle == nullptr) return -EBADF;
    if (ticket.handle->file == nullptr) return -EISDIR;
    const bool direct = (ticket.handle->flags & open_direct) != 0;
    if (direct && !aligned(request)) return -EINVAL;
    if (ticket.error != 0) return ticket.error;
    if (odds(effects_, knobs_.interrupted_per_million))
        return effects_.below(2) == 0 ? -EINTR : -EAGAIN;
    const std::uint32_t bytes = shorten(request.bytes, direct);
    const MutableBytes to(request.data, bytes);
    return static_cast<std::int32_t>(ticket.handle->file->visible().read(request.offset, to));
}

std::int32_t SimDisk::write(const OpRequest& request, SimDiskTicket& ticket) {
    if (ticket.handle == nullptr || (ticket.handle->flags & open_write) == 0) return -EBADF;
    if (ticket.handle->file == nullptr) return -EISDIR;
    SimFile& file = *ticket.handle->file;
    const bool direct = (ticket.handle->flags & open_direct) != 0;
    if (direct && !aligned(request)) return -EINVAL;
    const std::uint64_t size = file.visible().size();
    const std::uint64_t end = request.offset + request.bytes;
    const std::uint64_t growth = end > size ? end - size : 0;
    if (ticket.error != 0) {
        if (growth <= room_bytes())
            file.write_some(request.offset, Bytes(request.data, request.bytes), sim_sector_bytes,
                            effects_);
        used_bytes_ += file.visible().size() - size;
        return ticket.error;
    }
    if (odds(effects_, knobs_.interrupted_per_million))
        return effects_.below(2) == 0 ? -EINTR : -EAGAIN;
    std::uint32_t bytes = shorten(request.bytes, direct);
    if (growth > room_bytes()) {
        const std::uint64_t missing = growth - room_bytes();
        if (missing >= bytes) return -ENOSPC;
        bytes -= static_cast<std::uint32_t>(missing);
        if (direct) bytes -= bytes % static_cast<std::uint32_t>(block_bytes);
        if (bytes == 0) return -ENOSPC;
    }
    ticket.file = ticket.handle->file;
    ticket.file_change =
        file.write(request.offset, Bytes(request.data, bytes), (request.flags & write_dsync) != 0);
    used_bytes_ += file.visible().size() - size;
    return static_cast<std::int32_t>(bytes);
}

std::int32_t SimDisk::sync(const SimDiskTicket& ticket) {
    if (ticket.handle == nullptr) return -EBADF;
    SimFile* file = ticket.handle->file.get();
    if (ticket.error != 0) {
        if (file != nullptr) file->fail_sync();
        return ticket.error;
    }
    if (file != nullptr) {
        file->sync(ticket.clock, effects_);
    } else {
        names_.sync(ticket.handle->path, ticket.clock, effects_);
    }
    return 0;
}

std::int32_t SimDisk::allocate(const OpRequest& request, SimDiskTicket& ticket) {
    if (ticket.handle == nullptr || (ticket.handle->flags & open_write) == 0) return -EBADF;
    if (ticket.handle->file == nullptr) return -EISDIR;
    SimFile& file = *ticket.handle->file;
    const std::uint64_t size = file.visible().size();
    if (request.offset > size && request.offset - size > room_bytes()) return -ENOSPC;
    ticket.file = ticket.handle->file;
    ticket.file_change = file.extend(request.offset);
    used_bytes_ += file.visible().size() - size;
    return 0;
}

std::int32_t SimDisk::punch(const OpRequest& request, SimDiskTicket& ticket) {
    if (ticket.handle == nullptr || (ticket.handle->flags & open_write) == 0) return -EBADF;
    if (ticket.handle->file == nullptr) return -EISDIR;
    SimFile& file = *ticket.handle->file;
    const std::uint64_t size = file.visible().size();
    if (request.offset >= size) return 0;
    const std::uint64_t bytes = std::min<std::uint64_t>(request.bytes, size - request.offset);
    const std::vector<std::byte> zeros(static_cast<std::size_t>(bytes));
    ticket.file = ticket.handle->file;
    ticket.file_change = file.write(request.offset, zeros, false);
    return 0;
}

std::int32_t SimDisk::rename(const OpRequest& request, SimDiskTicket& ticket) {
    const std::string from = sim_path(request.path);
    const std::string to = sim_path(request.path2);
    const SimFileRef file = find_file(from);
    if (names_.is_directory(from) || names_.is_directory(to)) return -EISDIR;
    if (file == nullptr || !names_.is_directory(sim_parent(to))) return -ENOENT;
    if (from == to) return 0;
    const SimFileRef replaced = find_file(to);
    if (replaced == file) return 0;
    ticket.name_change = names_.rename(from, to);
    if (replaced != nullptr) {
        --replaced->links;
        release(*replaced);
    }
    return 0;
}

std::int32_t SimDisk::unlink(const OpRequest& request, SimDiskTicket& ticket) {
    const std::string path = sim_path(request.path);
    if (names_.is_directory(path)) return -EISDIR;
    const SimFileRef file = find_file(path);
    if (file == nullptr) return -ENOENT;
    ticket.name_change = names_.unlink(path);
    --file->links;
    release(*file);
    return 0;
}

std::int32_t SimDisk::make_directory(const OpRequest& request, SimDiskTicket& ticket) {
    std::string path = sim_path(request.path);
    if (names_.is_directory(path) || find_file(path) != nullptr) return -EEXIST;
    if (!names_.is_directory(sim_parent(path))) return -ENOENT;
    ticket.name_change = names_.create(std::move(path), nullptr);
    return 0;
}

std::int32_t SimDisk::list(const OpRequest& request) const {
    const std::string path = sim_path(request.path);
    if (!names_.is_directory(path)) return find_file(path) == nullptr ? -ENOENT : -ENOTDIR;
    *static_cast<std::vector<std::string>*>(request.out) = names_.list(path);
    return 0;
}

std::int32_t SimDisk::stat(const OpRequest& request) const {
    const std::string path = sim_path(request.path);
    auto& info = *static_cast<FileInfo*>(request.out);
    const SimFileRef file = find_file(path);
    if (file == nullptr && !names_.is_directory(path)) return -ENOENT;
    info.directory = file == nullptr;
    info.bytes = file == nullptr ? 0 : file->visible().size();
    return 0;
}

std::int32_t SimDisk::lock(const SimDiskTicket& ticket) {
    if (ticket.handle == nullptr || ticket.handle->file == nullptr) return -EBADF;
    SimFile& file = *ticket.handle->file;
    if (file.lock_holder != 0 && file.lock_holder != ticket.handle->number) return -EWOULDBLOCK;
    file.lock_holder = ticket.handle->number;
    return 0;
}

}  // namespace kv::io
