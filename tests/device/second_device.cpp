// A device that is not the CPU, over the memory of the CPU: what a GPU is strict about, without a GPU.
//
// Every operation goes to the CPU's own kernel, on tensors that share the device's memory, so results have the CPU's bits.
// As on CUDA, an operation whose tensors lie on two devices is refused, with the one exception that CUDA makes: a CPU tensor without
// dimensions, where the operation walks elements. What CUDA does slowly is counted: whatever makes the host wait for the device, and copies to it.
// Beyond CUDA, an index on the CPU is refused: CUDA copies it to the device at each step.

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <ATen/ops/convolution.h>
#include <ATen/ops/convolution_backward.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_strided.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/library.h>

#include <atomic>
#include <string>
#include <unordered_set>

namespace {

constexpr auto kSecond = c10::DeviceType::PrivateUse1;
const c10::Device kDevice(kSecond, 0);

using Listener = void (*)(const char* what);
Listener listener = nullptr;
std::atomic<int64_t> allocated{0}, peak{0}, limit{0};
std::unordered_set<std::string> walks_elements;

// What CUDA's kernels of these operations ask the device before they return.
const std::unordered_set<std::string> waits = {
    "aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select", "aten::bincount", "aten::equal",
    "aten::_unique2", "aten::unique_dim", "aten::unique_consecutive", "aten::_linalg_check_errors",
    "aten::repeat_interleave", "aten::is_set_to"};

void hear(const std::string& what) {
  if (listener != nullptr) listener(what.c_str());
}

// Bytes on the device, held as long as `inner` holds memory of the CPU.
struct Held {
  c10::Storage inner;
  int64_t bytes;
};

void release(void* context) {
  auto* held = static_cast<Held*>(context);
  allocated -= held->bytes;
  delete held;
}

void claim(int64_t bytes) {
  const int64_t now = allocated + bytes;
  if (limit > 0 && now > limit) {
    C10_THROW_ERROR(OutOfMemoryError, "second device out of memory. Tried to allocate " + std::to_string(bytes) +
        " bytes; " + std::to_string(allocated.load()) + " of " + std::to_string(limit.load()) + " are in use");
  }
  allocated = now;
  if (now > peak) peak = now;
}

c10::DataPtr hold(c10::Storage inner) {
  const auto bytes = static_cast<int64_t>(inner.nbytes());
  claim(bytes);
  void* data = inner.mutable_data();
  return {data, new Held{std::move(inner), bytes}, release, kDevice};
}

struct SecondAllocator final : c10::Allocator {
  c10::DataPtr allocate(size_t bytes) override {
    auto* host = c10::GetCPUAllocator();
    return hold(c10::Storage(c10::Storage::use_byte_size_t(), bytes, host->allocate(bytes), host, false));
  }
  void copy_data(void* to, const void* from, size_t count) const override { default_copy_data(to, from, count); }
  c10::DeleterFnPtr raw_deleter() const override { return release; }
};
SecondAllocator allocator;

c10::Storage to_second(const c10::Storage& host) {
  const size_t bytes = host.nbytes();
  return {c10::Storage::use_byte_size_t(), bytes, hold(host), &allocator, true};
}

at::Tensor tensor_on(c10::DispatchKey key, c10::Storage storage, const at::Tensor& like) {
  auto made = at::detail::make_tensor<c10::TensorImpl>(std::move(storage), c10::DispatchKeySet(key), like.dtype());
  auto* impl = made.unsafeGetTensorImpl();
  impl->set_sizes_and_strides(like.sizes(), like.strides(), like.storage_offset());
  if (like.unsafeGetTensorImpl()->is_wrapped_number()) impl->set_wrapped_number(true);
  return made;
}

// The same memory as a tensor of the CPU.
at::Tensor to_host(const at::Tensor& tensor) {
  const c10::Storage storage = tensor.storage();
  c10::DataPtr data(const_cast<void*>(storage.data()), new c10::Storage(storage),
                    [](void* context) { delete static_cast<c10::Storage*>(context); }, c10::Device(c10::kCPU));
  c10::Storage shared(c10::Storage::use_byte_size_t(), storage.nbytes(), std::move(data), c10::GetCPUAllocator(), true);
  return tensor_on(c10::DispatchKey::CPU, std::move(shared), tensor);
}

bool is_here(const at::Tensor& tensor) { return tensor.device().type() == kSecond; }

struct SecondGenerator final : c10::GeneratorImpl {
  SecondGenerator() : c10::GeneratorImpl(kDevice, c10::DispatchKeySet(c10::DispatchKey::PrivateUse1)),
                      inner(at::make_generator<at::CPUGeneratorImpl>(c10::default_rng_seed_val)) {}
  void set_current_seed(uint64_t seed) override { inner.set_current_seed(seed); }
  void set_offset(uint64_t offset) override { inner.set_offset(offset); }
  uint64_t get_offset() const override { return inner.get_offset(); }
  uint64_t current_seed() const override { return inner.current_seed(); }
  uint64_t seed() override { return inner.seed(); }
  void set_state(const c10::TensorImpl& state) override { inner.unsafeGetGeneratorImpl()->set_state(state); }
  c10::intrusive_ptr<c10::TensorImpl> get_state() const override { return inner.unsafeGetGeneratorImpl()->get_state(); }
  SecondGenerator* clone_impl() const override {
    auto* copy = new SecondGenerator();
    copy->inner = inner.clone();
    return copy;
  }
  at::Generator inner;
};

struct SecondHooks final : at::PrivateUse1HooksInterface {
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasPrimaryContext(c10::DeviceIndex) const override { return true; }
  at::Generator getNewGenerator(c10::DeviceIndex) const override { return at::make_generator<SecondGenerator>(); }
  const at::Generator& getDefaultGenerator(c10::DeviceIndex) const override {
    static const at::Generator found = at::make_generator<SecondGenerator>();
    return found;
  }
  at::Allocator* getPinnedMemoryAllocator() const override { return c10::GetCPUAllocator(); }
  c10::DeviceIndex deviceCount() const override { return 1; }
  c10::DeviceIndex getCurrentDevice() const override { return 0; }
};

struct SecondGuard final : c10::impl::NoOpDeviceGuardImpl<kSecond> {
  c10::Device exchangeDevice(c10::Device) const override { return kDevice; }
  c10::Device getDevice() const override { return kDevice; }
  c10::Stream getStream(c10::Device) const noexcept override {
    return c10::Stream(c10::Stream::DEFAULT, kDevice);
  }
  c10::Stream exchangeStream(c10::Stream) const noexcept override {
    return c10::Stream(c10::Stream::DEFAULT, kDevice);
  }
};
C10_REGISTER_GUARD_IMPL(PrivateUse1, SecondGuard)

at::Tensor empty_strided(c10::SymIntArrayRef size, c10::SymIntArrayRef stride, std::optional<at::ScalarType> dtype,
                         std::optional<at::Layout>, std::optional<at::Device>, std::optional<bool>) {
  const auto host = at::empty_strided(C10_AS_INTARRAYREF_SLOW(size), C10_AS_INTARRAYREF_SLOW(stride),
                                      at::TensorOptions().dtype(dtype).device(at::kCPU));
  return tensor_on(c10::DispatchKey::PrivateUse1, to_second(host.storage()), host);
}

at::Tensor empty(c10::SymIntArrayRef size, std::optional<at::ScalarType> dtype, std::optional<at::Layout>,
                 std::optional<at::Device>, std::optional<bool>, std::optional<at::MemoryFormat> format) {
  const auto host =
      at::empty(C10_AS_INTARRAYREF_SLOW(size), at::TensorOptions().dtype(dtype).device(at::kCPU), format);
  return tensor_on(c10::DispatchKey::PrivateUse1, to_second(host.storage()), host);
}

at::Tensor copy_from(const at::Tensor& from, const at::Tensor& to, bool non_blocking) {
  if (!is_here(from)) hear("copy to the device");
  else if (!is_here(to)) hear("copy to the host");
  (is_here(to) ? to_host(to) : to).copy_(is_here(from) ? to_host(from) : from, non_blocking);
  return to;
}

at::Tensor copy_from_and_resize(const at::Tensor& from, const at::Tensor& to) {
  to.resize_(from.sizes());
  return copy_from(from, to, false);
}

at::Tensor take(at::Tensor host) {
  return host.defined() ? tensor_on(c10::DispatchKey::PrivateUse1, to_second(host.storage()), host) : host;
}

void require_here(const at::Tensor& tensor, const std::string& name, bool may_be_a_number) {
  TORCH_CHECK(!tensor.defined() || is_here(tensor) || (may_be_a_number && tensor.dim() == 0 && tensor.is_cpu()),
              "Expected all tensors to be on the same device, but found at least two devices, second:0 and ",
              tensor.device(), "! (", name, ")");
}

at::Tensor convolution(const at::Tensor& input, const at::Tensor& weight, const std::optional<at::Tensor>& bias,
                       c10::SymIntArrayRef stride, c10::SymIntArrayRef padding, c10::SymIntArrayRef dilation,
                       bool transposed, c10::SymIntArrayRef output_padding, c10::SymInt groups) {
  for (const auto& one : {input, weight, bias.value_or(at::Tensor())}) require_here(one, "convolution", false);
  const auto host_bias = bias && bias->defined() ? std::optional(to_host(*bias)) : std::nullopt;
  return take(at::convolution_symint(to_host(input), to_host(weight), host_bias, stride, padding, dilation, transposed,
                                     output_padding, groups));
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> convolution_backward(
    const at::Tensor& grad, const at::Tensor& input, const at::Tensor& weight, c10::SymIntArrayRef stride,
    c10::SymIntArrayRef padding, c10::SymIntArrayRef dilation, bool transposed, c10::SymIntArrayRef output_padding,
    c10::SymInt groups, std::array<bool, 3> wanted) {
  for (const auto& one : {grad, input, weight}) require_here(one, "convolution_backward", false);
  const std::vector<c10::SymInt> bias{weight.sym_size(0)};
  auto [a, b, c] = at::convolution_backward_symint(
      to_host(grad), to_host(input), to_host(weight), wanted[2] ? at::OptionalSymIntArrayRef(bias) : std::nullopt,
      stride, padding, dilation, transposed, output_padding, groups, wanted);
  return {take(a), take(b), take(c)};
}

// One call of a kernel of the CPU: its arguments on the way there, its results on the way back.
class Call {
 public:
  Call(const c10::OperatorHandle& op, bool may_mix) : name_(op.schema().name()), may_mix_(may_mix) {}

  at::Tensor lend(const at::Tensor& tensor, bool written) {
    if (!tensor.defined() || !is_here(tensor)) {
      require_here(tensor, name_, may_mix_ && !written);
      return tensor;
    }
    const auto host = to_host(tensor);
    lent_.push_back({tensor, host, host.storage().data(), written});
    return host;
  }

  // An out= argument that the kernel made larger has other memory now.
  void settle() {
    for (auto& one : lent_) {
      if (!one.written) continue;
      auto* impl = one.tensor.unsafeGetTensorImpl();
      if (one.host.storage().data() != one.data) {
        impl->set_storage_keep_dtype(to_second(one.host.storage()));
      }
      impl->set_sizes_and_strides(one.host.sizes(), one.host.strides(), one.host.storage_offset());
    }
  }

  at::Tensor back(const at::Tensor& found) {
    if (!found.defined()) return found;
    for (auto& one : lent_) {
      if (found.is_same(one.host)) return one.tensor;
    }
    for (auto& one : lent_) {
      if (found.storage().data() == one.data && one.data != nullptr) {
        // With the keys of what it is a view of: in inference mode too, a view of a plain tensor is a plain tensor.
        auto view = at::detail::make_tensor<c10::TensorImpl>(
            c10::TensorImpl::VIEW, c10::Storage(one.tensor.storage()), one.tensor.key_set(), found.dtype());
        view.unsafeGetTensorImpl()->set_sizes_and_strides(found.sizes(), found.strides(), found.storage_offset());
        return view;
      }
    }
    return take(found);
  }

 private:
  struct Lent {
    at::Tensor tensor, host;
    const void* data;
    bool written;
  };
  std::string name_;
  bool may_mix_;
  std::vector<Lent> lent_;
};

bool is_mask(const at::Tensor& index) {
  return index.defined() && (index.scalar_type() == at::kBool || index.scalar_type() == at::kByte);
}

void run_on_host(const c10::OperatorHandle& op, c10::DispatchKeySet, torch::jit::Stack* stack) {
  const auto& schema = op.schema();
  const auto count = schema.arguments().size();
  const auto begin = stack->size() - count;
  const std::string full = schema.overload_name().empty() ? schema.name() : schema.name() + "." + schema.overload_name();
  const bool indexes = schema.name().find("aten::index") == 0 || schema.name().find("aten::_index") == 0;
  Call call(op, !indexes && walks_elements.count(full) > 0);
  const bool puts = schema.name().find("index_put") != std::string::npos;  // reading by a mask comes as `nonzero`
  bool asks = waits.count(schema.name()) > 0;
  for (size_t at = 0; at < count; ++at) {
    auto& value = (*stack)[begin + at];
    const auto* alias = schema.arguments()[at].alias_info();
    const bool written = alias != nullptr && alias->isWrite();
    if (value.isTensor()) {
      value = call.lend(value.toTensor(), written);
    } else if (value.isTensorList()) {
      auto lent = value.toTensorVector();
      for (auto& one : lent) one = call.lend(one, written);
      value = c10::IValue(lent);
    } else if (value.isOptionalTensorList()) {
      c10::List<std::optional<at::Tensor>> lent;
      for (const std::optional<at::Tensor> one : value.toOptionalTensorList()) {
        asks = asks || (puts && one && is_mask(*one));
        lent.push_back(one ? std::optional(call.lend(*one, false)) : one);
      }
      value = c10::IValue(lent);
    } else if (value.isList() && value.toListRef().size() > 0 && value.toListRef()[0].isTensor()) {
      auto lent = value.toTensorVector();
      for (auto& one : lent) one = call.lend(one, written);
      value = c10::IValue(lent);
    } else if (value.isGenerator()) {
      auto generator = value.toGenerator();
      TORCH_CHECK(generator.device().type() == kSecond, "Expected a 'second' device type for generator but found '",
                  generator.device(), "' (", full, ")");
      value = static_cast<SecondGenerator*>(generator.unsafeGetGeneratorImpl())->inner;
    } else if (value.isDevice()) {
      value = c10::IValue(c10::Device(c10::kCPU));
    }
  }
  if (asks) hear(full);
  op.redispatchBoxed(c10::DispatchKeySet(c10::DispatchKey::CPU), stack);
  call.settle();
  const auto results = schema.returns().size();
  for (auto at = stack->size() - results; at < stack->size(); ++at) {
    auto& value = (*stack)[at];
    if (value.isTensor()) {
      value = call.back(value.toTensor());
    } else if (value.isTensorList()) {
      auto found = value.toTensorVector();
      for (auto& one : found) one = call.back(one);
      value = c10::IValue(found);
    }
  }
}

TORCH_LIBRARY_IMPL(aten, PrivateUse1, m) {
  m.impl("empty.memory_format", TORCH_FN(empty));
  m.impl("empty_strided", TORCH_FN(empty_strided));
  m.impl("_copy_from", TORCH_FN(copy_from));
  m.impl("_copy_from_and_resize", TORCH_FN(copy_from_and_resize));
  m.impl("convolution_overrideable", TORCH_FN(convolution));
  m.impl("convolution_backward_overrideable", TORCH_FN(convolution_backward));
}

TORCH_LIBRARY_IMPL(_, PrivateUse1, m) { m.fallback(torch::CppFunction::makeFromBoxedFunction<&run_on_host>()); }

}  // namespace

extern "C" {
void second_open() {
  static SecondHooks hooks;
  c10::SetAllocator(kSecond, &allocator);
  at::RegisterPrivateUse1HooksInterface(&hooks);
}
void second_walks_elements(const char* name) { walks_elements.insert(name); }
void second_listen(Listener heard) { listener = heard; }
int64_t second_allocated() { return allocated; }
int64_t second_peak() { return peak; }
void second_reset_peak() { peak = allocated.load(); }
void second_limit(int64_t bytes) { limit = bytes; }
}
