/// What a crash leaves on a simulated disk, and the hooks by which tests look at it and damage it.

#include <algorithm>

#include "io/sim/sim_disk.h"

namespace kv::io {

void SimDisk::crash(Crash kind, std::span<InFlight> in_flight, SimFds& fds) {
    // The device reorders what is in flight as it likes.
    for (std::size_t i = in_flight.size(); i > 1; --i)
        std::swap(in_flight[i - 1], in_flight[static_cast<std::size_t>(crashes_.below(i))]);
    for (const InFlight& op : in_flight) finish_by_chance(op, kind, fds);
    fds.clear();

    std::erase_if(files_, [](const std::weak_ptr<SimFile>& file) { return file.expired(); });
    for (const std::weak_ptr<SimFile>& reference : files_) {
        const SimFileRef file = reference.lock();
        if (kind == Crash::process) {
            file->crash_process();
        } else {
            file->lose_power(data_loss(kind), crashes_);
        }
    }
    if (kind == Crash::process) {
        names_.crash_process();
    } else {
        names_.lose_power(names_loss(kind), crashes_);
    }

    used_bytes_ = 0;
    for (const std::weak_ptr<SimFile>& reference : files_) {
        if (const SimFileRef file = reference.lock()) file->links = 0;
    }
    for (const auto& [path, file] : names_.visible()) {
        if (file == nullptr) continue;
        file->links = 1;
        file->released = false;
        used_bytes_ += file->visible().size();
    }
    for (const std::weak_ptr<SimFile>& reference : files_) {
        if (const SimFileRef file = reference.lock()) file->released = file->links == 0;
    }
}

void SimDisk::wipe() {
    names_ = SimNames{};
    files_.clear();
    used_bytes_ = 0;
}

void SimDisk::finish_by_chance(const InFlight& op, Crash kind, SimFds& fds) {
    const OpRequest& request = *op.request;
    SimDiskTicket& ticket = *op.ticket;
    if (ticket.error != 0 || kind == Crash::power_lose_all) return;
    switch (request.code) {
        case OpCode::write: {
            if (ticket.handle == nullptr || ticket.handle->file == nullptr) return;
            if ((ticket.handle->flags & open_write) == 0) return;
            SimFile& file = *ticket.handle->file;
            const std::uint64_t size = file.visible().size();
            const std::uint64_t end = request.offset + request.bytes;
            if (end > size && end - size > room_bytes()) return;
            const Bytes bytes(request.data, request.bytes);
            if (kind == Crash::process) {
                file.write_some(request.offset, bytes, sim_page_bytes, crashes_);
            } else {
                static_cast<void>(file.write(request.offset, bytes, false));
            }
            used_bytes_ += file.visible().size() - size;
            return;
        }
        case OpCode::open:
            if ((request.flags & open_create) == 0) return;
            [[fallthrough]];
        case OpCode::allocate:
        case OpCode::punch:
        case OpCode::rename:
        case OpCode::unlink:
        case OpCode::make_directory:
            if (crashes_.below(2) == 0) static_cast<void>(take_effect(request, ticket, fds));
            return;
        case OpCode::close:
        case OpCode::read:
        case OpCode::sync:
        case OpCode::list:
        case OpCode::stat:
        case OpCode::lock: return;
        case OpCode::listen:
        case OpCode::accept:
        case OpCode::connect:
        case OpCode::receive:
        case OpCode::send:
        case OpCode::end_sending: KV_UNREACHABLE("not an operation on a disk");
    }
}

SimLoss SimDisk::data_loss(Crash kind) {
    switch (kind) {
        case Crash::process: return SimLoss::nothing;
        case Crash::power_lose_all: return SimLoss::everything;
        case Crash::power_prefix: return SimLoss::tail;
        case Crash::power_subset_torn: return SimLoss::any;
        case Crash::power_directory_lost: break;
    }
    constexpr SimLoss choices[] = {SimLoss::nothing, SimLoss::nothing, SimLoss::everything,
                                   SimLoss::tail, SimLoss::any};
    return choices[crashes_.below(std::size(choices))];
}

SimLoss SimDisk::names_loss(Crash kind) {
    switch (kind) {
        case Crash::process: return SimLoss::nothing;
        case Crash::power_lose_all: return SimLoss::everything;
        case Crash::power_prefix: return SimLoss::tail;
        case Crash::power_subset_torn: return SimLoss::any;
        case Crash::power_directory_lost: break;
    }
    constexpr SimLoss choices[] = {SimLoss::everything, SimLoss::everything, SimLoss::tail,
                                   SimLoss::any};
    return choices[crashes_.below(std::size(choices))];
}

std::optional<std::string> SimDisk::visible(std::string_view path) const {
    const SimFileRef file = find_file(path);
    if (file == nullptr) return std::nullopt;
    return file->visible().text();
}

std::optional<std::string> SimDisk::durable(std::string_view path) const {
    const SimNames::Table table = names_.durable();
    const auto found = table.find(sim_path(path));
    if (found == table.end() || found->second == nullptr) return std::nullopt;
    return found->second->durable().text();
}

std::vector<std::pair<std::string, SimFileRef>> SimDisk::durable_files(
    std::string_view directory) const {
    const std::string above = sim_path(directory) + "/";
    std::vector<std::pair<std::string, SimFileRef>> files;
    const SimNames::Table table = names_.durable();
    for (const auto& [path, file] : table) {
        if (file == nullptr || !path.starts_with(above)) continue;
        files.emplace_back(path.substr(above.size()), file);
    }
    return files;
}

std::vector<std::string> SimDisk::list(std::string_view directory) const {
    return names_.list(sim_path(directory));
}

std::vector<std::string> SimDisk::paths() const {
    std::vector<std::string> paths;
    for (const auto& [path, file] : names_.visible()) paths.push_back(path);
    return paths;
}

bool SimDisk::overwrite(std::string_view path, std::uint64_t offset, Bytes bytes) {
    const SimFileRef file = find_file(path);
    if (file == nullptr) return false;
    const std::uint64_t size = file->visible().size();
    file->overwrite(offset, bytes);
    used_bytes_ += file->visible().size() - size;
    return true;
}

bool SimDisk::flip_bit(std::string_view path, std::uint64_t bit) {
    const SimFileRef file = find_file(path);
    std::byte byte{};
    if (file == nullptr || file->visible().read(bit / 8, {&byte, 1}) == 0) return false;
    byte ^= static_cast<std::byte>(1u << (bit % 8));
    file->overwrite(bit / 8, {&byte, 1});
    return true;
}

bool SimDisk::truncate(std::string_view path, std::uint64_t bytes) {
    const SimFileRef file = find_file(path);
    if (file == nullptr) return false;
    used_bytes_ -= file->visible().size();
    file->truncate(bytes);
    used_bytes_ += bytes;
    return true;
}

bool SimDisk::remove(std::string_view path) {
    const SimFileRef file = find_file(path);
    if (file == nullptr) return false;
    static_cast<void>(names_.unlink(sim_path(path)));
    names_.settle_all();
    --file->links;
    release(*file);
    return true;
}

void SimDisk::put(std::string_view path, std::string_view content) {
    std::string clean = sim_path(path);
    make_directory(sim_parent(clean));
    SimFileRef file = find_file(clean);
    if (file == nullptr) {
        file = std::make_shared<SimFile>(++files_created_);
        file->links = 1;
        files_.push_back(file);
        static_cast<void>(names_.create(std::move(clean), file));
        names_.settle_all();
    }
    const std::uint64_t size = file->visible().size();
    file->truncate(0);
    file->overwrite(0, as_bytes(content));
    used_bytes_ += file->visible().size() - size;
}

void SimDisk::make_directory(std::string_view path) {
    const std::string clean = sim_path(path);
    if (names_.is_directory(clean)) return;
    make_directory(sim_parent(clean));
    static_cast<void>(names_.create(clean, nullptr));
    names_.settle_all();
}

}  // namespace kv::io
