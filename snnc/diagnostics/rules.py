"""The rules: code, title, the hint printed with every finding, and the page that `snnc explain CODE` prints.

Codes are stable: SNN1xx the file, SNN2xx what cannot be converted, SNN3xx the data, SNN4xx outputs, runtime files and
options, SNN5xx warnings.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Rule:
    """One rule. `page` explains what it protects from and what to do; `settling_hint` is the hint for networks that run
    until they settle (method exact), where that is another one."""

    code: str
    title: str
    hint: str
    page: str
    warning: bool = False
    settling_hint: str = ""

    @property
    def severity(self) -> str:
        """`error` or `warning`."""
        return "warning" if self.warning else "error"


def _rules(*rules: Rule) -> dict[str, Rule]:
    return {rule.code: rule for rule in rules}


RULES: dict[str, Rule] = _rules(
    # --- the file -------------------------------------------------------------------------------------------------
    Rule(
        "SNN101",
        "the file is not a readable ONNX model",
        "check the path, and that `python -c \"import onnx; onnx.load('FILE')\"` loads it",
        "The file is missing, empty, truncated, or not an ONNX protobuf. Nothing else can be said about it.",
    ),
    Rule(
        "SNN102",
        "the model uses an operator-set version that is not supported",
        "export it again with opset 18 (any from 7 on is accepted)",
        "snnc reads models of the default ONNX domain from opset 7 up to the newest one that the installed onnx and\n"
        "onnxruntime know. Models of opset 5 and 6 are upgraded with onnx.version_converter, where that can.",
    ),
    Rule(
        "SNN103",
        "the model is invalid",
        "run `python -c \"import onnx; onnx.checker.check_model('FILE', full_check=True)\"` on it",
        "The ONNX checker or onnxruntime refuses the model: a cycle, a missing input, wrong types, an operator\n"
        "it does not know. The ANN has to run before it can be converted: the conversion is verified against it.",
    ),
    Rule(
        "SNN104",
        "external data of the model is missing or too short",
        "put the external data file beside the model, under the name that the message gives",
        "Large models keep their weights in a second file. It was not found, is shorter than the model says, or lies\n"
        "outside of the folder of the model, where a model from elsewhere has no business to read.",
    ),
    Rule(
        "SNN105",
        "the model must have exactly one input tensor with the batch as its first axis",
        "export the network with one float input `[batch, ...]` and static sizes after the batch axis",
        "A converted network encodes one input into spikes. Inputs with an initializer of the same name are defaults\n"
        "and do not count, nor do those that no output depends on. Sizes other than the batch must be known, because\n"
        "neurons have to be counted: `--shape 3,48,192` says what the file leaves open, or calibration data do.",
    ),
    Rule(
        "SNN106",
        "a name is reserved",
        "rename this input or output of the model",
        "The converted file adds the inputs `steps`, `seed` and `first_sample` (in the schedule stream `first_step`\n"
        "and `count` too), the outputs `spike_totals` and `synaptic_operations`, and names of its own that begin with\n"
        "`snnc/`. An input or output of the ANN must not have such a name; inner tensors and nodes may.",
    ),
    Rule(
        "SNN107",
        "the model is too large",
        "convert a smaller network, or the part of it that is to be spiking",
        "A model with its weights has to fit into one protobuf message of 2 GiB, for onnxruntime to be given it and\n"
        "for the converted file. Weights of 2 GiB and more are half a billion of them in float32.",
    ),
    # --- what cannot be converted ---------------------------------------------------------------------------------
    Rule(
        "SNN201",
        "a layer has a bias",
        "train without bias, or pass `--bias current` (or `--relaxed`): the bias becomes a constant current",
        "RMP-SNN (section 2) converts networks without bias: a constant current per step is not a spike. With\n"
        "`--bias current` snnc adds b/λ of the layer's input scale to the membrane potential at every step.",
    ),
    Rule(
        "SNN202",
        "batch normalization",
        "train without batch norm, or pass `--batchnorm fold --bias current` (or `--relaxed`)",
        "RMP-SNN (section 2) converts networks without batch normalization. At inference it is an affine map and can\n"
        "be folded into the convolution or dense layer in front of it (W' = Wγ/√(σ²+ε)), which gives that a bias;\n"
        "behind anything else it is a weight and a current for each channel. In training mode it depends on the other\n"
        "samples of the batch, and is refused.",
    ),
    Rule(
        "SNN203",
        "max pooling",
        "pass `--max-pool exact` to compare spike counts, or train with average pooling",
        "The maximum over binary spikes is an OR: it fires far more often than the most active neuron. RMP-SNN uses\n"
        "average pooling. With `--max-pool exact` the pool counts the spikes of its inputs and fires when the largest\n"
        "count changes, so its rate is the largest rate. What it pools must be spikes: the ReLU stands in front of it.",
    ),
    Rule(
        "SNN204",
        "this operator has no spiking meaning here",
        "replace it by one of those that `snnc explain SNN204` lists",
        "Between input and output a spiking network can hold linear operators (Conv, ConvTranspose, Gemm, MatMul with\n"
        "constant weights, average pooling, means and sums over axes, Add, Sub, Concat, constants that are added or\n"
        "multiplied), whatever only moves elements (Reshape, Flatten, Transpose, DepthToSpace, Slice, Gather, Expand,\n"
        "nearest-neighbour Resize and the like), max-pooling, and Relu, also one that ends at a cap, whatever\n"
        "it is made of (Clip, Max, Min). The method exact makes neurons of any function of one variable,\n"
        "and multiplies spike counts: products and quotients (Mul, Div) of two activations of the same axes, with\n"
        "equal sizes or 1, of matrices (MatMul, Einsum), and so Softmax and normalisations (docs/attention.md).\n"
        "Behind the last layer any operator is accepted that takes sample by sample: it works on decoded values.",
    ),
    Rule(
        "SNN205",
        "the network has no ReLU",
        "check that the activations were exported as Relu nodes",
        "A network of linear layers only has nothing to turn into a spiking neuron. Often the activation was lost in\n"
        "the export, or is of another kind.",
    ),
    Rule(
        "SNN206",
        "a weight is not constant",
        "make the weights initializers of the model (export in inference mode)",
        "Weights are rounded to a grid and thresholds are derived from them, so they must be known at conversion.",
    ),
    Rule(
        "SNN207",
        "this form of the operator is not supported",
        "see the message for the attribute or shape in question",
        "The operator is supported, but not with these attributes or shapes.",
    ),
    Rule(
        "SNN208",
        "a weight is not finite, or a layer's weights are all zero",
        "look at the training: a layer with NaN, infinite or only zero weights cannot carry a signal",
        "Thresholds are maxima of weighted sums; they do not exist for such a layer.",
    ),
    # --- the data -------------------------------------------------------------------------------------------------
    Rule(
        "SNN301",
        "the data cannot be read",
        "see docs/cli.md for the forms of DATA",
        "DATA is `file.npz[:split]`, a folder of class folders of images, MNIST idx files, CIFAR batches,\n"
        "`digits[:split]`, or a `.npy` file without labels.",
    ),
    Rule(
        "SNN302",
        "the data does not have the shape of the network's input",
        "reshape the data, or pass `--layout`",
        "Images are compared with the network's input without the batch axis. NHWC and NCHW are recognised, and a\n"
        "missing channel axis of size 1 is added; nothing is cropped or resized.",
    ),
    Rule(
        "SNN303",
        "the data has a dtype that holds no image",
        "convert it to uint8 or float32",
        "Accepted are uint8 (scaled by 1/255 unless `--scale` says otherwise), other integers, and floats.",
    ),
    Rule(
        "SNN304",
        "the data has NaN or infinite values",
        "remove or repair these samples",
        "A single NaN would turn into spikes that mean nothing.",
    ),
    Rule(
        "SNN305",
        "the labels do not fit",
        "labels are integers from 0 to classes - 1, one for each image",
        "Accuracy needs one label for each image, within the number of the network's outputs.",
    ),
    Rule(
        "SNN306",
        "the data set is empty",
        "give at least one sample (calibration: at least 2, one of them is held back)",
        "There is nothing to measure on.",
    ),
    # --- outputs, runtime files, options --------------------------------------------------------------------------
    Rule(
        "SNN401",
        "the output cannot be written",
        "choose a path in a folder that exists and is writable",
        "Output files appear whole or not at all: they are written beside their final place and then renamed. Links\n"
        "are followed, devices and pipes are written to, `-` is stdout. A command that fails writes nothing.",
    ),
    Rule(
        "SNN402",
        "the file is not a network converted by snnc",
        "convert it first: `snnc convert NET.onnx -o NET.snn.onnx`",
        "Converted files carry `snnc.format_version` in their metadata.",
    ),
    Rule(
        "SNN403",
        "the file has a newer format than this snnc knows",
        "update snnc, or convert the ANN again with this version",
        "docs/format.md states the compatibility policy: files of an older or the same format run, newer are refused.",
    ),
    Rule(
        "SNN404",
        "the number of steps is out of range",
        "choose from 1 to the file's max_steps, or convert with a larger `--max-steps`",
        "The integer grid guarantees that no membrane potential overflows up to max_steps, not beyond.",
    ),
    Rule(
        "SNN405",
        "an option does not fit: its value, or the other options",
        "see `snnc convert --help`",
        "A value is of the wrong type or out of its range, or options contradict each other. Some belong to one\n"
        "method or one threshold rule: `--rate-quantile` to `--threshold rate`. Others are refused, not ignored.",
    ),
    Rule(
        "SNN406",
        "the layer does not fit the integer grid",
        "lower `--max-steps`, put a Relu between linear layers, or merge them",
        "The weights of this layer cannot be rounded to a grid that keeps every sum exact and every membrane\n"
        "potential in 32 bits for max_steps steps, or with the method exact up to the largest counts.",
        settling_hint="lower `--levels` of the layers in front of it, or put a Relu between linear layers",
    ),
    Rule(
        "SNN407",
        "an optional package is missing",
        "install it with the command in the message",
        "Plots need matplotlib, the `digits` data set scikit-learn, image folders Pillow: `pip install snnc[plot]`.\n"
        "Clusters need Ray: `pip install snnc[ray]`.\n"
        "`snnc bench --against int8` needs onnxruntime.quantization, a part of the Python package of onnxruntime,\n"
        "`--against spikingjelly` SpikingJelly and torch.",
    ),
    Rule(
        "SNN408",
        "the spiking network is of no use: it does not follow the ANN",
        "see the remedies that were measured; `--accept-poor` writes it all the same",
        "At the end of every conversion both networks run on samples that calibrated nothing. Nothing is written\n"
        "where the spiking network certainly (95 % confidence) agrees with the ANN on less than 80 % of them or has\n"
        "lost the values (error above 0.9); if the outputs are no classes, where their error exceeds 0.5. The message\n"
        "names the first layer in which the signal is lost, the hint what was tried and helped.",
    ),
    Rule(
        "SNN409",
        "a plug-in cannot be used",
        "update or uninstall the plug-in that the message names",
        "Operators, threshold rules and methods can come from other distributions (entry points, docs/plugins.md).\n"
        "The one that was asked for cannot be imported, is not what it says it is, or two distributions claim the\n"
        "same name. Nothing else is affected: a plug-in is imported only where one of its names is used.",
    ),
    Rule(
        "SNN410",
        "a network does not settle at its quantised ANN",
        "give the network and the quantised ANN of one conversion, as snnc wrote them; else please report it",
        "A network of the method exact settles at the spike counts of its quantised ANN, integer for integer; `snnc\n"
        "verify` repeats the comparison. Where they differ, the file was changed, the two come from different\n"
        "conversions, or snnc has an error.",
    ),
    Rule(
        "SNN411",
        "a frame of a stream does not settle where a fresh run does",
        "give a file as snnc wrote it; else please report it",
        "In a network of the method exact the counts and potentials behind a frame do not depend on the frames before\n"
        "it. `snnc stream --check` repeats frames from the initial states and compares everything. Where they differ,\n"
        "the file was changed or snnc has an error.",
    ),
    Rule(
        "SNN412",
        "there is not enough room for temporary files",
        "let TMPDIR name a folder on a larger disk, or give fewer `--calib-samples` or `--calib-steps`",
        "What a calibration keeps from layer to layer, and data that arrive in batches or compressed, lie in\n"
        "temporary files where they take more memory than `--calib-memory`. They have no name, and are gone when\n"
        "snnc ends, however it ends.",
    ),
    Rule(
        "SNN413",
        "a recording takes too much memory",
        "record fewer samples, steps or layers, or allow more with `most_bytes`",
        "Spikes take a byte for each neuron, sample and step, membrane potentials four more. What would take more\n"
        "than 2 GiB is refused before it begins.",
    ),
    Rule(
        "SNN414",
        "there is not enough memory",
        "give fewer samples at once, or use a machine with more memory",
        "What certainly takes more memory than the machine or its container has free is refused before it begins,\n"
        "where the system would end the process in the middle. A conversion takes ten times the weights and more, a\n"
        "simulation some bytes for each neuron and sample.",
    ),
    Rule(
        "SNN415",
        "the workers of a cluster cannot be used",
        "see to the cluster, or leave `--on` away: the numbers are the same",
        "With `--on` samples are worked on by a cluster of Ray (docs/scale.md). It cannot be reached, its machines\n"
        "have another snnc, onnxruntime or numpy than this one, or a worker was lost again and again at the same\n"
        "samples, mostly for want of memory. Workers that are lost now and then are replaced, and nothing is said.",
    ),
    Rule(
        "SNN420",
        "the network cannot be expressed in the form it is exported to",
        "export it with `--nir generic`, or convert the ANN with what the message names left away",
        "Simulators read a NIR graph in their own ways: one resets to 0 what another one reduces by the threshold,\n"
        "one has no pooling, another one no branches. What the target would compute otherwise is refused, all at\n"
        "once; nothing is approximated. docs/exchange.md says what every target can do.",
    ),
    Rule(
        "SNN421",
        "an exported network does not give the same spikes",
        "please report it, with the versions of snnc and of the simulator",
        "Every export is run and compared with the network spike by spike before it is written. Here a spike is\n"
        "another one: the simulator reads the graph otherwise than the version that snnc was written for, potentials\n"
        "have grown beyond what float32 holds (fewer `--steps`, or a conversion with more `--max-steps`, keeps them\n"
        "smaller), or snnc has an error. Nothing was written.",
    ),
    Rule(
        "SNN422",
        "the simulator of a target cannot run the exported graph",
        "install the version that docs/exchange.md names, or give the Python that has it as `--simulator`",
        "The target's own importer or simulator failed on the graph. Without the simulator an export is checked by\n"
        "snnc's own interpreter of NIR alone, and says so.",
    ),
    Rule(
        "SNN423",
        "the network cannot be written as C",
        "convert the ANN without what the message names",
        "The program has integers only, and a function for every operator of snnc's own. Operators of plug-ins have\n"
        "none, and windows go over three axes at most. All that cannot be written is listed; nothing is written then.",
    ),
    # --- warnings -------------------------------------------------------------------------------------------------
    Rule(
        "SNN501",
        "thresholds come from the weights alone",
        "leave `--threshold` away: random images give better thresholds than weights, data better ones than these",
        "The rule `model` takes the largest sum of positive weights (Diehl et al. 2015) as threshold. Nothing can\n"
        "saturate, but such sums never come: rates shrink from layer to layer, and networks of more than a few layers\n"
        "stay silent.",
        warning=True,
    ),
    Rule(
        "SNN502",
        "inputs exceed the input scale and are clipped",
        "convert with `--calib DATA`, or a larger `--input-scale` or `--input-range`",
        "Poisson coding cannot fire more than once per step: |x| beyond the input scale is coded as the scale itself.",
        warning=True,
    ),
    Rule(
        "SNN503",
        "the spiking network agrees poorly with the ANN",
        "see what was measured to help",
        "At the end of every conversion both networks run on samples that were not used for calibration. The warning\n"
        "comes below 95 % agreement or, where the outputs are no classes, above an error of 0.25. A conversion that\n"
        "does far worse is refused (SNN408).",
        warning=True,
    ),
    Rule(
        "SNN504",
        "a layer stays silent",
        "run more steps, leave `--alpha` away, or calibrate with data of the right scale",
        "No neuron of the layer fired: its thresholds are too high for its inputs and the number of steps.",
        warning=True,
        settling_hint="calibrate with data of the right scale, or give the layer more `--levels`",
    ),
    Rule(
        "SNN506",
        "the batch axis was made free",
        "feed any number of samples; nothing else changes",
        "The model was exported for a fixed batch size, or its batch is not the first axis of everything inside it.\n"
        "The converted file accepts any number of samples; it was run in batches of several sizes to see that.",
        warning=True,
    ),
    Rule(
        "SNN507",
        "calibrated and verified on synthetic images",
        "pass `--calib DATA`, or at least `--input-range LOW,HIGH` of the values that the network gets",
        "Without data, smooth random images stand for it: their range is `--input-range`, or what the model says of\n"
        "its input, or -2 to 2. That range matters. Values beyond it are clipped when the network runs (the runtime\n"
        "says how many) and layers saturate; a range that is too wide costs steps. Agreement on such images is a\n"
        "hint, not an accuracy.",
        warning=True,
    ),
    Rule(
        "SNN508",
        "outputs after hard reset or with a leak are good for comparisons only",
        "use `--reset soft` where the values matter",
        "Hard reset throws away the potential above threshold, a leak a part of all of it, so decoded outputs keep "
        "their order, not their values.",
        warning=True,
    ),
    Rule(
        "SNN509",
        "rounding changes what a layer computes",
        "lower `--max-steps` to the steps you need; pool over smaller windows in front of the layer",
        "Every sum of a layer has to stay exact, and its potential in 32 bits, for max_steps steps. Pooling over\n"
        "a large window, a large fan-in, or linear layers behind each other leave few bits for a weight, and what\n"
        "the layer computes is no longer what the ANN computes: no number of steps makes up for it.",
        warning=True,
    ),
    Rule(
        "SNN510",
        "a plug-in is not used",
        "use snnc's own, or ask the plug-in's authors to choose another name",
        "A plug-in cannot replace an operator, a threshold rule or a method of snnc: what a name means must not\n"
        "depend on what else is installed. The same warning names a distribution whose entry points cannot be read.",
        warning=True,
    ),
    Rule(
        "SNN511",
        "the spikes were not checked against the reference simulator",
        "ask the plug-in's authors for an entry point of the group `snnc.reference`",
        "Every conversion is simulated by an independent program that shares no code with the compiler. It knows the\n"
        "operators of snnc. A plug-in has to bring its own account of its operators (docs/plugins.md). The file and\n"
        "its stream form were compared all the same.",
        warning=True,
    ),
    Rule(
        "SNN512",
        "an unrolled file has no input `steps`",
        "feed `seed` and `first_sample` only, or convert with `--schedule loop` to choose the steps at every run",
        "With `--schedule unrolled` the blocks of `--steps` steps stand one after the other in the file. Their number\n"
        "is fixed therefore, whatever `--controls` says of the seed and the first sample.",
        warning=True,
    ),
    Rule(
        "SNN513",
        "no number of steps, or of levels, was shown to keep the accuracy",
        "give more data, allow a larger drop, or more steps (`--max-steps`)",
        "With `--target-drop` the network runs with more and more steps (with the method exact: levels) on samples\n"
        "that calibrated nothing, until a bound on the accuracy that it loses against the ANN is small enough, with\n"
        "95 % confidence. Few samples cannot show a small loss, whatever happens on them. Those with the least bound\n"
        "were taken.",
        warning=True,
    ),
    Rule(
        "SNN520",
        "the data are prepared in another way than those that calibrated the network",
        "leave `--scale`, `--mean`, `--std` and `--layout` away: the file says them; `snnc inspect` shows them",
        "A converted file says how its calibration data were prepared (scale, mean, standard deviation, layout), and\n"
        "every command prepares data in the same way where nothing else is said. What is said wins, one by one, but a\n"
        "network whose inputs are on another scale computes something else, and clips what exceeds its input scale.",
        warning=True,
    ),
    Rule(
        "SNN521",
        "channels stay silent",
        "run more steps, `--per-channel`, or calibrate with more data; with the method exact more `--levels`",
        "No neuron of these channels fired on any of 16 samples, though the ANN has at least 1 % of the layer's\n"
        "activation there: their thresholds are too high for what they get in so many steps. What they carry is\n"
        "lost to all layers behind. Channels that are zero in the ANN too are not named here; `snnc inspect` has them.",
        warning=True,
    ),
    Rule(
        "SNN522",
        "input features are hidden behind larger ones",
        "bring all features to one scale in front of the network (its first weights can take it), or run more steps",
        "One input scale holds for the whole input, and a feature that varies by less than one spike in all steps, or\n"
        "by less than one unit of a coded number, tells the network nothing: an age beside an income.",
        warning=True,
        settling_hint="bring all features to one scale in front of the network (its first weights can take it)",
    ),
    Rule(
        "SNN523",
        "the inputs hardly vary beside their mean",
        "give samples as the network was trained on: where these lay around 0, pass `--mean` and `--std`",
        "Values around 300 that vary by 1: the coding gives its units to the whole value, and so do neurons of their\n"
        "counts, so that what tells samples apart is lost. A network that was trained on samples around 0 gives the\n"
        "same class for all of these, and then agreement with it says nothing. Told where the mean is more than ten\n"
        "times the standard deviation, and outputs miss more than a quarter of what they vary by.",
        warning=True,
    ),
    Rule(
        "SNN524",
        "the data seem to have been prepared before",
        "give samples as they are stored; for prepared ones say `--scale 1 --mean 0 --std 1` (in Python by a "
        "`snnc.data.Preparation`)",
        "A converted file says how its calibration data were prepared, and data are prepared in the same way where\n"
        "nothing else is said. Data that were normalised before are normalised twice then. Told where some values\n"
        "are negative, nearly all fit the input scale of the network as they are given, and a tenth or more of them\n"
        "do not once they are prepared. `SpikingSession.run` and `session.run` of onnxruntime prepare nothing.",
        warning=True,
    ),
    Rule(
        "SNN530",
        "an input of the model is ignored",
        "nothing is to be done; remove the input from the model if it should not be there",
        "No output depends on this input: a mask that nothing reads, the labels of a loss that is no output. The\n"
        "converted network has no such input.",
        warning=True,
    ),
    Rule(
        "SNN531",
        "the network is converted for one size of its input",
        "pass `--shape` for another one, such as `--shape 3,48,192`",
        "The file takes inputs of any height and width (or length). A spiking network has a number of neurons, so one\n"
        "size had to be chosen: that of the calibration data.",
        warning=True,
    ),
    Rule(
        "SNN532",
        "the types of the model disagree",
        "export the network in float32, so that other programs can run it too",
        "An operator that works on floats of one type is given several, float64 constants beside float32 activations\n"
        "for instance. The file is no valid ONNX then and onnxruntime refuses it. It is read as a network in float32.",
        warning=True,
    ),
)
