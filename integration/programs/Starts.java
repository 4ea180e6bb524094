import java.io.File;
import java.util.Map;

/** Starts `probe` in each way that Java has, named on the command line. */
final class Starts {
    public static void main(String[] ways) throws Exception {
        for (String way : ways) {
            System.out.println(way);
            System.out.flush();
            System.out.println(start(way).waitFor());
        }
    }

    private static Process start(String label) throws Exception {
        ProcessBuilder probe = new ProcessBuilder("probe", label).inheritIO();
        // The launch mechanism is a property of the whole virtual machine; the label ends with it.
        switch (label.substring(0, label.indexOf('-'))) {
            case "builder":
                return probe.start();
            case "status":
                return new ProcessBuilder("probe", label, "7").inheritIO().start();
            case "directory":
                return probe.directory(new File("/")).start();
            case "environment":
                Map<String, String> environment = probe.environment();
                String path = environment.get("PATH");
                environment.clear();
                environment.put("PATH", path);
                return probe.start();
            case "shell":
                return new ProcessBuilder("sh", "-c", "probe " + label).inheritIO().start();
            case "runtime":
                Process process = Runtime.getRuntime().exec(new String[] {"probe", label});
                System.out.write(process.getInputStream().readAllBytes());
                System.out.flush();
                return process;
            default:
                throw new IllegalArgumentException(label);
        }
    }
}
