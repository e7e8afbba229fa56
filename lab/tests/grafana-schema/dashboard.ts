// A dashboard as JSON has it, by Grafana's own types, with the options of each kind of panel that is used here.
import type { AnnotationQuery, AnnotationTarget, Dashboard, DataQuery, FieldConfig, FieldConfigSource, Panel } from "@grafana/schema";
import type * as Gauge from "@grafana/schema/dist/esm/raw/composable/gauge/panelcfg/x/GaugePanelCfg_types.gen";
import type * as Stat from "@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen";
import type * as StateTimeline from "@grafana/schema/dist/esm/raw/composable/statetimeline/panelcfg/x/StateTimelinePanelCfg_types.gen";
import type * as Table from "@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen";
import type * as TimeSeries from "@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen";

// JSON knows no enumerations: their values are texts.
type Json<T> = T extends string
  ? `${T}`
  : T extends object
    ? { [K in keyof T]: Json<T[K]> }
    : T;

// The package lets any options and any settings of a field pass.
type OfKind<Kind, Options, Field = Record<string, never>> = Omit<
  Panel,
  "type" | "options" | "fieldConfig" | "targets"
> & {
  type: Kind;
  options: Partial<Options>;
  fieldConfig: Omit<FieldConfigSource, "defaults"> & {
    defaults: Omit<FieldConfig, "custom"> & { custom?: Partial<Field> };
  };
  targets: Query[];
};

// Prometheus' own of an annotation.
type Annotation = { titleFormat: string; textFormat?: string };

// Of Prometheus' queries the package knows what all queries have.
type Query = DataQuery & {
  expr: string;
  format?: "time_series" | "table" | "heatmap";
  instant?: boolean;
  interval?: string;
  legendFormat?: string;
  range?: boolean;
};

export type Checked = Json<
  Omit<Dashboard, "annotations" | "panels"> & {
    annotations: { list: (AnnotationQuery<Query & AnnotationTarget> & Annotation)[] };
    panels: (
      | OfKind<"gauge", Gauge.Options>
      | OfKind<"stat", Stat.Options>
      | OfKind<"state-timeline", StateTimeline.Options, StateTimeline.FieldConfig>
      | OfKind<"table", Table.Options, Table.FieldConfig>
      | OfKind<"timeseries", TimeSeries.Options, TimeSeries.FieldConfig>
    )[];
  }
>;
