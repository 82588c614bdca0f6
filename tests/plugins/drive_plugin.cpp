// SPDX-License-Identifier: Apache-2.0
//
// Calls one sink of a plugin, through its C table alone, as it is told on standard input. For tests in other languages.
//
//   drive_plugin FILE [NAME=KIND:TEXT]...     the options of the sink; KIND is a digit, as in annals_plugin.h
//
// A command a line: "write N" and then N lines; "sync"; "reopen"; "position"; "fork-write" and then a line, which a forked
// child writes; "sigpipe" (is the signal pending or blocked here?); "close" (of all descriptors but the standard ones, as a
// daemon does; it answers with their highest number). An answer a line: "ok ...", or "failed CODE ERRNO MESSAGE",
// after a "notice CODE SEVERITY MESSAGE" for each notice. The first answer is that of create.
#include <annals_plugin.h>
#include <dlfcn.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

namespace {

std::string on_one_line(std::string text) {
  std::replace(text.begin(), text.end(), '\n', '|');
  return text;
}

void print_notice(void*, const annals_notice* what) {
  std::cout << "notice " << what->code << ' ' << what->severity << ' ' << on_one_line(what->message) << '\n';
}

class driven_sink {
 public:
  explicit driven_sink(const annals_sink_functions& table) : table_(table) {}

  bool create(const std::vector<annals_option>& options) {
    annals_host host = {};
    host.struct_size = sizeof host;
    host.abi_major = ANNALS_PLUGIN_ABI_MAJOR;
    host.abi_minor = ANNALS_PLUGIN_ABI_MINOR;
    host.file_mode = 0600;
    host.host_version = "0.1.0";
    host.log_path = "";
    host.options = options.data();
    host.options_count = options.size();
    host.option_size = sizeof(annals_option);
    host.notice = print_notice;
    return answer(table_.create(&host, &sink_));
  }

  bool answer(annals_status status) {
    annals_error error = {};
    error.struct_size = sizeof error;
    if (status == ANNALS_OK) {
      std::cout << "ok" << std::endl;
    } else if (table_.last_error(sink_, &error) == ANNALS_OK) {
      std::cout << "failed " << error.code << ' ' << error.system_code << ' ' << on_one_line(error.message) << std::endl;
    } else {
      std::cout << "failed without a reason" << std::endl;
    }
    return status == ANNALS_OK;
  }

  annals_status write(const std::string& lines, std::uint64_t count) {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    const annals_batch batch = {sizeof batch, lines.data(), lines.size(),
                                count,        next_,        std::chrono::duration_cast<std::chrono::microseconds>(now).count()};
    next_ += count;
    return table_.write(sink_, &batch);
  }

  bool run(const std::string& command) {
    if (command.starts_with("write ")) {
      std::string lines;
      const std::uint64_t count = std::stoull(command.substr(6));
      for (std::uint64_t i = 0; i < count; ++i) lines += take_line();
      answer(write(lines, count));
    } else if (command == "fork-write") {
      fork_write(take_line());
    } else if (command == "sync") {
      answer(table_.sync(sink_));
    } else if (command == "reopen") {
      answer(table_.reopen(sink_));
    } else if (command == "position") {
      annals_position at = {};
      if (table_.position(sink_, &at) != ANNALS_OK) return false;
      std::cout << "ok " << at.segment << ' ' << at.offset << std::endl;
    } else if (command == "sigpipe") {
      sigset_t pending;
      sigset_t blocked;
      ::sigpending(&pending);
      ::pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
      std::cout << "ok " << ::sigismember(&pending, SIGPIPE) << ::sigismember(&blocked, SIGPIPE) << std::endl;
    } else if (command == "close") {
      int highest = -1;
      for (int fd = STDERR_FILENO + 1; fd < 1024; ++fd) {
        if (::close(fd) == 0) highest = fd;
      }
      std::cout << "ok " << highest << std::endl;
    } else {
      return false;
    }
    return true;
  }

  void destroy() { table_.destroy(sink_); }

 private:
  static std::string take_line() {
    std::string line;
    std::getline(std::cin, line);
    return line + '\n';
  }

  void fork_write(const std::string& line) {
    const ::pid_t child = ::fork();
    if (child == 0) {
      const annals_status status = write(line, 1);
      table_.destroy(sink_);
      ::_exit(status == ANNALS_OK ? 0 : 1);
    }
    int status = -1;
    ::waitpid(child, &status, 0);
    ++next_;
    std::cout << (status == 0 ? "ok " : "failed 0 0 child ") << child << std::endl;
  }

  const annals_sink_functions& table_;
  annals_sink* sink_ = nullptr;
  std::uint64_t next_ = 1;
};

}  // namespace

int main(int argc, char** argv) {
  void* const file = argc > 1 ? ::dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : nullptr;
  void* const found = file != nullptr ? ::dlsym(file, ANNALS_PLUGIN_SYMBOL) : nullptr;
  if (found == nullptr) {
    const char* const cause = argc > 1 ? ::dlerror() : nullptr;
    std::cerr << (cause != nullptr ? cause : "usage: drive_plugin FILE [NAME=KIND:TEXT]...") << '\n';
    return 2;
  }
  std::vector<std::string> texts;
  for (int i = 2; i < argc; ++i) {
    const std::string given = argv[i];
    const std::size_t equals = given.find('=');
    texts.push_back(given.substr(0, equals));
    texts.push_back(given.substr(equals + 1));
  }
  std::vector<annals_option> options;
  for (std::size_t i = 0; i < texts.size(); i += 2) {
    const std::string& value = texts[i + 1];
    options.push_back({texts[i].c_str(), value.c_str() + 2, value.size() - 2, static_cast<std::uint32_t>(value[0] - '0'), 0});
  }
  driven_sink sink(*static_cast<const annals_plugin_descriptor*>(found)->sink);
  if (!sink.create(options)) return 1;
  std::string command;
  while (std::getline(std::cin, command)) {
    if (!sink.run(command)) return 2;
  }
  sink.destroy();
}
