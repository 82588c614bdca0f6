// SPDX-License-Identifier: Apache-2.0
//
// What a process did to its files, step by step, and the states in which a crash of the machine at any moment may leave the
// disk. Included behind `import annals.io;`.
//
// What was synced is there. Of bytes that were not: nothing, all, up to the last whole sector of 512 bytes or page of 4096, or
// zeros where the file's length got there and its bytes did not. Of creations, renames and removals whose directory was not
// synced: any of them, in any order, but for those that concern the same name, which stay in their order (a file system that
// lets a name's new meaning come without its old one's going loses synced files whatever one does).
#pragma once
#include "support/hooked_calls.h"

namespace support {

enum class unsynced_bytes { none, all, to_sector, to_page, zeros, zeros_in_first_page };
constexpr std::array all_unsynced_bytes = {unsynced_bytes::none,    unsynced_bytes::all,   unsynced_bytes::to_sector,
                                           unsynced_bytes::to_page, unsynced_bytes::zeros, unsynced_bytes::zeros_in_first_page};

// While it lives, the library's calls go through it. For one thread.
class recorded_disk {
 public:
  struct step {
    enum class kind { create, write, sync_file, sync_directory, rename, remove, make_directory, mark } what;
    int file = 0;
    std::string name = {};   // or the directory
    std::string other = {};  // the new name
    std::uint64_t offset = 0;
    std::string bytes = {};
    int mark = 0;
    std::size_t mapped = 0;  // how many versions of the mapped file had been seen
  };

  // A file that is written through a mapping, which no call tells of: it is looked at behind each step.
  void watch_mapped(const std::string& path) { mapped_path_ = path; }
  const std::vector<std::string>& mapped_versions() const { return mapped_versions_; }

  // Something that the test wants to know the moment of.
  void mark(int what) {
    step one{step::kind::mark};
    one.mark = what;
    add(one);
  }
  const std::vector<step>& steps() const { return steps_; }

  // Files are known by their numbers, so they are the same in a state that is built later.
  static std::uint64_t inode_of(int file) { return 1'000'000'000'000 + static_cast<std::uint64_t>(file); }

 private:
  std::int64_t record(system_call& one) {
    switch (one.which) {
      case call::open: return open(one);
      case call::open_in: return found(one.path, one.run());
      case call::close:
        opened_.erase(one.fd);
        directories_.erase(one.fd);
        return one.run();
      case call::write: {
        const std::uint64_t end = calls_.kernel_status(one.fd).bytes;  // all files that are written so are opened with O_APPEND
        return wrote_to(one, one.run(), end);
      }
      case call::write_at: return wrote_to(one, one.run(), one.offset);
      case call::sync_data:
      case call::sync_all: return synced(one.fd);
      case call::status_of: {
        const std::int64_t done = one.run();
        if (const auto found = opened_.find(one.fd); done == 0 && found != opened_.end()) {
          one.status->inode = inode_of(found->second);
        }
        return done;
      }
      case call::status_at: {
        const std::int64_t done = one.run();
        if (const auto found = files_.find(one.path); done == 0 && found != files_.end()) {
          one.status->inode = inode_of(found->second);
        }
        return done;
      }
      case call::make_directory: {
        const std::int64_t done = one.run();
        if (done == 0) add({step::kind::make_directory, 0, one.path});
        return done;
      }
      case call::rename:
      case call::rename_new: return renamed(one.path, one.to, one.run());
      case call::remove: {
        const std::int64_t done = one.run();
        if (done != 0) return done;
        add({step::kind::remove, files_[one.path], one.path});
        files_.erase(one.path);
        return 0;
      }
      default: return one.run();
    }
  }
  std::int64_t open(system_call& one) {
    const bool was_there = calls_.kernel_status(one.path).has_value();
    const std::int64_t opened = one.run();
    if (opened < 0) return opened;
    const int fd = static_cast<int>(opened);
    if (one.purpose == annals::io::open_for::syncing) {
      directories_[fd] = one.path;
      return fd;
    }
    if (!was_there) {
      files_[one.path] = ++last_file_;
      add({step::kind::create, last_file_, one.path});
    }
    return found(one.path, fd);
  }
  std::int64_t found(const std::string& path, std::int64_t fd) {
    if (const auto file = files_.find(path); fd >= 0 && file != files_.end()) opened_[static_cast<int>(fd)] = file->second;
    return fd;
  }
  void add(step one) {
    if (!mapped_path_.empty()) {
      std::string now = content_of(mapped_path_);
      if (mapped_versions_.empty() ? !now.empty() : now != mapped_versions_.back()) mapped_versions_.push_back(std::move(now));
    }
    one.mapped = mapped_versions_.size();
    steps_.push_back(std::move(one));
  }
  std::int64_t wrote_to(const system_call& one, std::int64_t wrote, std::uint64_t offset) {
    if (wrote <= 0) return wrote;
    const auto found = opened_.find(one.fd);
    EXPECT_NE(found, opened_.end()) << "written to, and not known";
    if (found == opened_.end()) return wrote;
    add({step::kind::write, found->second, "", "", offset, std::string(one.bytes, static_cast<std::size_t>(wrote))});
    return wrote;
  }
  int synced(int fd) {
    if (const auto directory = directories_.find(fd); directory != directories_.end()) {
      add({step::kind::sync_directory, 0, directory->second});
    } else {
      add({step::kind::sync_file, opened_[fd]});
    }
    return 0;
  }
  std::int64_t renamed(const std::string& from, const std::string& to, std::int64_t failed) {
    if (failed != 0) return failed;
    files_[to] = files_[from];
    files_.erase(from);
    add({step::kind::rename, files_[to], from, to});
    return 0;
  }

  std::vector<step> steps_;
  std::string mapped_path_;
  std::vector<std::string> mapped_versions_;
  std::map<std::string, int> files_;
  std::map<int, int> opened_;
  std::map<int, std::string> directories_;
  int last_file_ = 0;
  hooked_calls calls_{[this](system_call& one) { return record(one); }};
};

// The states after a number of steps. A state is what each file holds, and which one it is, by its path.
class crash_states {
 public:
  struct file {
    int number = 0;
    std::shared_ptr<const std::string> content;  // the same in many states
  };
  using state = std::map<std::string, file>;
  using step = recorded_disk::step;

  crash_states(const std::vector<step>& steps, std::size_t count, std::string root)
      : steps_(steps), count_(count), root_(std::move(root)) {
    for (std::size_t i = 0; i < count_; ++i) {
      if (is_of_names(steps_[i])) (is_synced(i) ? synced_ : unsynced_).push_back(i);
    }
  }

  // All of them; those of unsynced names in every choice of those.
  void each(const std::function<void(const state&)>& take) const {
    const std::size_t choices = std::size_t{1} << std::min<std::size_t>(unsynced_.size(), 12);
    for (std::size_t choice = 0; choice < choices; ++choice) {
      if (!is_possible(choice)) continue;
      for (const unsynced_bytes how : all_unsynced_bytes) take(made(choice, how));
    }
  }

 private:
  static bool is_of_names(const step& one) {
    return one.what == step::kind::create || one.what == step::kind::rename || one.what == step::kind::remove ||
           one.what == step::kind::make_directory;
  }
  static std::string directory_of(const std::string& path) { return path.substr(0, path.rfind('/')); }

  bool is_synced(std::size_t at) const {
    for (std::size_t i = at + 1; i < count_; ++i) {
      if (steps_[i].what == step::kind::sync_directory && steps_[i].name == directory_of(steps_[at].name)) return true;
    }
    return false;
  }
  static bool share_a_name(const step& a, const step& b) {
    const auto has = [&b](const std::string& name) { return !name.empty() && (name == b.name || name == b.other); };
    return has(a.name) || has(a.other);
  }
  bool is_possible(std::size_t choice) const {
    for (std::size_t later = 0; later < unsynced_.size(); ++later) {
      if ((choice >> later & 1U) == 0) continue;
      for (std::size_t earlier = 0; earlier < later; ++earlier) {
        if ((choice >> earlier & 1U) == 0 && share_a_name(steps_[unsynced_[earlier]], steps_[unsynced_[later]])) return false;
      }
    }
    return true;
  }

  state made(std::size_t choice, unsynced_bytes how) const {
    std::vector<std::size_t> done = synced_;
    for (std::size_t i = 0; i < unsynced_.size(); ++i) {
      if ((choice >> i & 1U) != 0) done.push_back(unsynced_[i]);
    }
    std::sort(done.begin(), done.end());
    std::map<std::string, int> names;
    std::set<std::string> directories = {root_};
    for (const std::size_t i : done) {
      const step& one = steps_[i];
      switch (one.what) {
        case step::kind::make_directory: directories.insert(one.name); break;
        case step::kind::remove: names.erase(one.name); break;
        case step::kind::rename:
          names.erase(one.name);
          names[one.other] = one.file;
          break;
        default: names[one.name] = one.file;
      }
    }
    state files;
    for (const auto& [name, number] : names) {
      if (directories.contains(directory_of(name))) files[name] = {number, content(number, how)};
    }
    return files;
  }

  static void apply(std::string& content, std::uint64_t offset, std::string_view bytes) {
    if (content.size() < offset + bytes.size()) content.resize(static_cast<std::size_t>(offset) + bytes.size());
    content.replace(static_cast<std::size_t>(offset), bytes.size(), bytes);
  }
  static std::string_view whole_units(const step& write, std::uint64_t unit) {
    const std::uint64_t end = (write.offset + write.bytes.size()) / unit * unit;
    return std::string_view(write.bytes).substr(0, end > write.offset ? static_cast<std::size_t>(end - write.offset) : 0);
  }

  const std::shared_ptr<const std::string>& content(int which, unsynced_bytes how) const {
    auto& known = contents_[{which, how}];
    if (known == nullptr) known = std::make_shared<const std::string>(made_content(which, how));
    return known;
  }

  std::string made_content(int which, unsynced_bytes how) const {
    std::string synced;
    std::string all;
    std::vector<const step*> unsynced;
    for (std::size_t i = 0; i < count_; ++i) {
      const step& one = steps_[i];
      if (one.file != which) continue;
      if (one.what == step::kind::write) {
        apply(all, one.offset, one.bytes);
        unsynced.push_back(&one);
      } else if (one.what == step::kind::sync_file) {
        synced = all;
        unsynced.clear();
      }
    }
    if (how == unsynced_bytes::all || unsynced.empty()) return all;
    std::string left = synced;
    switch (how) {
      case unsynced_bytes::to_sector:
        for (const step* one : unsynced) apply(left, one->offset, whole_units(*one, 512));
        break;
      case unsynced_bytes::to_page:
        for (const step* one : unsynced) apply(left, one->offset, whole_units(*one, 4096));
        break;
      case unsynced_bytes::zeros: left.resize(std::max(left.size(), all.size())); break;
      case unsynced_bytes::zeros_in_first_page: {
        left.resize(std::max(left.size(), all.size()));
        const std::size_t page_end =
            std::min(all.size(), (static_cast<std::size_t>(unsynced.front()->offset) / 4096 + 1) * 4096);
        left.replace(page_end, std::string::npos, all, page_end);
        break;
      }
      default: break;
    }
    return left;
  }

  const std::vector<step>& steps_;
  std::size_t count_;
  std::string root_;
  std::vector<std::size_t> synced_;    // of names, by their place in steps_
  std::vector<std::size_t> unsynced_;  // likewise
  mutable std::map<std::pair<int, unsynced_bytes>, std::shared_ptr<const std::string>> contents_;
};

}  // namespace support
